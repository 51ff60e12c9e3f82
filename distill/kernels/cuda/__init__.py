"""The student as fused Triton kernels for NVIDIA GPUs, forward and back: see docs/cuda.md."""

from importlib.util import find_spec

from distill.errors import DistillError

__all__ = ["CudaStudent", "GraphedStudent", "available", "require"]


def _obstacle(device: str = "cuda") -> str | None:
    """Why the kernels cannot run on that device, and what helps; None when they can."""
    if find_spec("triton") is None:
        return "the package triton is missing; install it with `pip install triton`"
    import torch
    import triton

    kind = torch.device(device).type
    if triton.knobs.runtime.interpret:
        return None  # on any device, slowly: for tests
    if kind != "cuda":
        return (
            f"they run on CUDA devices, not on '{kind}'; choose device='cuda', or set "
            "TRITON_INTERPRET=1 before Python starts to try them slowly on the CPU"
        )
    if torch.version.cuda is None:
        return "this torch is built without CUDA; install a CUDA build of torch"
    if not torch.cuda.is_available():
        return (
            "torch finds no CUDA device; check the driver with `nvidia-smi`, or use another backend"
        )
    if torch.cuda.get_device_capability(device) < (8, 0):
        return "the GPU is older than compute capability 8.0; use a newer one, or another backend"
    return None


def available(device: str = "cuda") -> bool:
    """Whether the kernels can run here. Never raises for want of triton or a GPU."""
    return _obstacle(device) is None


def require(device: str = "cuda") -> None:
    """Raises DistillError, with the way out, when the kernels cannot run on that device."""
    obstacle = _obstacle(device)
    if obstacle is not None:
        raise DistillError(f"The CUDA kernels cannot run here: {obstacle}.")


def __getattr__(name: str) -> object:
    # torch takes seconds to import, and triton need not be there
    if name == "CudaStudent":
        from distill.kernels.cuda.student import CudaStudent

        return CudaStudent
    if name == "GraphedStudent":
        from distill.kernels.cuda.graph import GraphedStudent

        return GraphedStudent
    raise AttributeError(f"module 'distill.kernels.cuda' has no attribute {name!r}")
