"""What the CUDA kernels are built on, and what is said where they cannot run."""

import subprocess
import sys

import pytest
import torch

from distill import DistillError
from distill.kernels import cuda
from distill.kernels.cuda.splines import INTERVALS, b_splines, basis_splines
from distill.kernels.cuda.weights import pack, power_of_two
from distill.student import Student
from distill.student.radial import BesselBasis, cutoff_envelope, held


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_without_a_gpu(no_gpu):
    assert not cuda.available()
    with pytest.raises(DistillError, match="nvidia-smi"):
        cuda.CudaStudent(Student.untrained("ultra-tiny"))


def test_not_on_the_cpu():
    assert not cuda.available("cpu")
    with pytest.raises(DistillError, match="choose device='cuda'"):
        cuda.CudaStudent(Student.untrained("ultra-tiny"), device="cpu")


def test_without_triton():
    """The package can be imported, and says what is missing."""
    code = (
        "import sys; sys.modules['triton'] = None\n"
        "from distill import DistillError\n"
        "from distill.kernels import cuda\n"
        "assert not cuda.available()\n"
        "try: cuda.require()\n"
        "except DistillError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=".")
    assert done.returncode == 0, done.stderr
    assert "pip install triton" in done.stdout


def test_splines_follow_the_filters():
    basis = BesselBasis(20, 5.0).double()
    coefficients = basis_splines(basis)
    r = torch.linspace(0.01, 5.0, 5003, dtype=torch.float64)
    scaled = r * INTERVALS / 5.0
    first = scaled.long().clamp(max=INTERVALS - 1)
    rows = coefficients[first.unsqueeze(1) + torch.arange(6)]
    got = (b_splines(scaled - first).unsqueeze(-1) * rows).sum(1)
    seen = held(r)
    envelope = cutoff_envelope(seen / 5.0).unsqueeze(-1)
    wanted = torch.cat([basis(seen) * envelope, envelope], dim=-1)
    error = (got - wanted).abs().amax(-1)
    assert error[r > 0.7].max() < 1e-7  # float32 itself is no finer
    assert error.max() < 1e-5  # where atoms overlap, and filters bend sharply
    assert got[-1].abs().max() < 1e-11


def test_padding_adds_nothing():
    student = Student.untrained("ultra-tiny")
    weights = pack(student, torch.device("cpu"))
    assert (weights.hidden, weights.half) == (32, 16)
    assert [power_of_two(n) for n in (8, 16, 48, 64, 65)] == [16, 16, 64, 64, 128]
    message = student.painn.messages[1]
    torch.testing.assert_close(weights.layers[1].phi2[2], message.phi[2].weight[64:].t())


def test_too_large_for_one_call():
    from distill.kernels.cuda.step import Step

    cpu = torch.device("cpu")
    with pytest.raises(DistillError, match="divide the system"):
        Step(pack(Student.untrained("ultra-tiny"), cpu), 10, 2**30, cpu, "ieee")


def test_too_many_edges():
    from distill.kernels.cuda.step import Step

    cpu = torch.device("cpu")
    step = Step(pack(Student.untrained("ultra-tiny"), cpu), 2, 4, cpu, "ieee")
    with pytest.raises(DistillError, match="larger capacity"):
        step.set_edges(torch.zeros(2, 6, dtype=torch.int64), torch.zeros(6, 3))
