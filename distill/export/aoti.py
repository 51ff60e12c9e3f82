"""AOTInductor: compiled for this kind of machine; libtorch runs it, from C++ or Python."""

import json
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from distill.errors import DistillError, first_line
from distill.export.program import exported_program
from distill.student.student import Student
from distill.whole import whole_file

CARD = "distill"
"""The metadata entry with the student's card."""


def export_aoti(student: Student, path: str | Path) -> None:
    """Writes a package (.pt2) of ``exported_program``, compiled for the CPU: about a minute.

    ``torch._inductor.aoti_load_package(path)`` loads it. The package raises for inputs of other
    types and shapes, and for such as are not contiguous. Raises DistillError where no C++ compiler
    is there, and for a path that does not end in .pt2, which torch asks for.
    """
    if Path(path).suffix != ".pt2":
        raise DistillError(f"An AOTInductor package must be named .pt2, not {Path(path).name}.")
    program = exported_program(student)
    with whole_file(path) as place, tempfile.TemporaryDirectory() as cache:
        # the default cache is one for all users of the machine
        before = os.environ.get("TORCHINDUCTOR_CACHE_DIR")
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        # that there is no CUDA, which is not wanted here
        logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
        try:
            with warnings.catch_warnings(), inputs_checked():
                warnings.simplefilter("ignore", FutureWarning)  # of torch to itself
                torch._inductor.aoti_compile_and_package(
                    program,
                    package_path=str(place),
                    inductor_configs={"aot_inductor.metadata": {CARD: json.dumps(student.card)}},
                )
        except RuntimeError as error:
            raise DistillError(
                f"AOTInductor failed ({first_line(error)}); it needs a C++ compiler "
                "(on Debian: g++)."
            ) from error
        finally:
            if before is None:
                del os.environ["TORCHINDUCTOR_CACHE_DIR"]
            else:
                os.environ["TORCHINDUCTOR_CACHE_DIR"] = before


@contextmanager
def inputs_checked() -> Iterator[None]:
    """What is compiled meanwhile looks at its inputs, as CHECKS says.

    torch writes checks of its own into every package, but runs them only where the environment has
    AOTI_RUNTIME_CHECK_INPUTS=1, and they ask for as few atoms as the example has. Without any,
    float64 is taken for twice as many float32.
    """
    from torch._inductor.codegen.cpp_wrapper_cpu import CppWrapperCpu

    written = CppWrapperCpu.generate_input_output_runtime_checks

    def write(self: CppWrapperCpu) -> None:
        self.prefix.splice(CHECKS)

    setattr(CppWrapperCpu, written.__name__, write)
    try:
        yield
    finally:
        setattr(CppWrapperCpu, written.__name__, written)


CHECKS = """
static void check_input(
    AtenTensorHandle tensor, const std::string &name, bool whole, std::vector<int64_t> shape) {
  int32_t dtype, device;
  int64_t dim, *sizes, *strides;
  AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_get_dtype(tensor, &dtype));
  AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_get_device_type(tensor, &device));
  AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_get_dim(tensor, &dim));
  AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_get_sizes(tensor, &sizes));
  AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_get_strides(tensor, &strides));
  if (dtype != (whole ? aoti_torch_dtype_int64() : aoti_torch_dtype_float32()))
    throw std::runtime_error(name + " must be " + (whole ? "int64." : "float32."));
  if (device != aoti_torch_device_type_cpu())
    throw std::runtime_error(name + " must be on the CPU.");
  bool fits = dim == int64_t(shape.size());
  for (int64_t d = 0; fits && d < dim; ++d) fits = sizes[d] == shape[d];
  if (!fits)
    throw std::runtime_error(
        name + " has another shape; give positions (N, 3), numbers (N,), edge_index (2, E), "
        "edge_shift (E, 3).");
  int64_t stride = 1, count = 1;
  for (int64_t size : shape) count *= size;
  for (int64_t d = dim - 1; d >= 0; stride *= sizes[d--])
    if (count && sizes[d] > 1 && strides[d] != stride)
      throw std::runtime_error(name + " must be contiguous; call .contiguous().");
}
static int64_t size_of(AtenTensorHandle tensor, int64_t d) {
  int64_t dim, *sizes;
  AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_get_dim(tensor, &dim));
  AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_get_sizes(tensor, &sizes));
  return dim > d ? sizes[d] : -1;
}
static void __check_inputs_outputs(AtenTensorHandle *inputs, AtenTensorHandle *) {
  const int64_t atoms = size_of(inputs[1], 0), edges = size_of(inputs[2], 1);
  check_input(inputs[0], "positions", false, {atoms, 3});
  check_input(inputs[1], "numbers", true, {atoms});
  check_input(inputs[2], "edge_index", true, {2, edges});
  check_input(inputs[3], "edge_shift", false, {edges, 3});
}
"""
