"""Every CUDA kernel compiles for real GPUs, with none there, and fits into their registers."""

import re
import subprocess
from pathlib import Path

import pytest
import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, CompiledKernel

from distill.kernels.cuda.step import Launch, Step
from distill.kernels.cuda.weights import pack
from distill.student import Student

KINDS = {torch.float32: "*fp32", torch.float64: "*fp64", torch.int32: "*i32"}
SHARED_AT_MOST = 99 * 1024  # bytes a block may have on every GPU from compute capability 8.0 on


def launches(size: str, precision: str) -> dict[str, Launch]:
    """The distinct launches of a step, by name."""
    cpu = torch.device("cpu")
    step = Step(pack(Student.untrained(size), cpu), 50, 1024, cpu, precision)
    return {
        launch.kernel.__name__
        + (" of the first layer" if launch.constants.get("FIRST") else ""): launch
        for launch in step.launches
    }


def compiled(launch: Launch, capability: int) -> CompiledKernel:
    names = launch.kernel.arg_names
    # a launch refuses what the kernel does not know, and the interpreter does not
    assert set(names) == {*launch.arguments, *launch.constants}
    signature, aligned = {}, {}
    for k, name in enumerate(names):
        if name in launch.constants:
            signature[name] = "constexpr"
        elif isinstance(launch.arguments[name], torch.Tensor):
            signature[name] = KINDS[launch.arguments[name].dtype]
            aligned[(k,)] = [["tt.divisibility", 16]]  # as torch's allocator gives them
        else:
            signature[name] = "i32"
    source = ASTSource(launch.kernel, signature, launch.constants, aligned)
    target = GPUTarget("cuda", capability, 32)
    return triton.compile(source, target=target, options={"num_warps": launch.warps})


def check(launch: Launch, capability: int, folder: Path) -> None:
    """It becomes machine code that needs little memory for registers that there was no room for."""
    kernel = compiled(launch, capability)
    assert kernel.asm["cubin"][:4] == b"\x7fELF"
    assert kernel.metadata.shared <= SHARED_AT_MOST
    ptx = folder / "kernel.ptx"
    ptx.write_text(kernel.asm["ptx"])
    target = re.search(r"^\.target (\w+)", kernel.asm["ptx"], re.MULTILINE)
    assert target is not None
    command = [triton.knobs.nvidia.ptxas.path, "-v", f"-arch={target[1]}", ptx, "-o", "/dev/null"]
    report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    spilled = re.search(r"(\d+) bytes spill stores", report)
    assert spilled is not None, report
    assert int(spilled[1]) <= 64


@pytest.mark.parametrize("capability", [80, 90])
def test_pairs_and_messages_compile(capability, tmp_path):
    kernels = launches("ultra-tiny", "ieee")
    assert len(kernels) == 8
    for name, launch in kernels.items():
        if not name.startswith("dense"):
            check(launch, capability, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["ieee", "tf32x3"])
@pytest.mark.parametrize("capability", [80, 90])
def test_dense_layers_compile(capability, precision, tmp_path):
    for name, launch in launches("ultra-tiny", precision).items():
        if name.startswith("dense"):
            check(launch, capability, tmp_path)


@pytest.mark.slow
def test_the_largest_student_compiles(tmp_path):
    for launch in launches("original", "ieee").values():
        check(launch, 80, tmp_path)


def test_few_launches_a_step():
    cpu = torch.device("cpu")
    for size, layers in (("tiny", 2), ("original", 3)):
        step = Step(pack(Student.untrained(size), cpu), 50, 1024, cpu, "ieee")
        assert len(step.launches) == 4 * layers
