"""A student answers alike in every mode of torch, and refuses elements that it does not know."""

import copy
import io

import pytest
import torch

from distill import DistillError, load_student
from distill.student.neighbours import neighbour_list


@pytest.fixture
def arguments(ethanol):
    edges = neighbour_list(ethanol.positions, None, False, 5.0)
    return [torch.tensor(x) for x in (ethanol.positions, ethanol.numbers, *edges)]


@pytest.fixture(scope="module")
def tiny():
    return load_student("ultra-tiny")


@pytest.fixture(scope="module")
def scripted(tiny):
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(copy.deepcopy(tiny)), file)
    file.seek(0)
    return torch.jit.load(file)


MODES = {
    "no_grad": torch.no_grad,
    "inference": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "device": lambda: torch.device("meta"),
}


@pytest.mark.parametrize("mode", MODES)
def test_modes_of_torch(tiny, arguments, mode):
    energy, forces = tiny(*arguments)
    with MODES[mode]():
        own = [x.clone() for x in arguments]  # made in that mode
        before = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        found = tiny(*own)
        assert before == (torch.is_grad_enabled(), torch.is_inference_mode_enabled())
    assert torch.equal(found[0], energy) and torch.equal(found[1], forces)


def test_default_dtype(tiny, arguments):
    energy, forces = tiny(*arguments)
    torch.set_default_dtype(torch.float64)
    for student in (tiny, load_student("ultra-tiny")):
        found = student(*arguments)
        assert torch.equal(found[0], energy) and torch.equal(found[1], forces)


def test_an_error_leaves_the_mode_of_torch(tiny, arguments):
    arguments[1][0] = 5
    with torch.no_grad():
        with pytest.raises(DistillError):
            tiny(*arguments)
        assert not torch.is_grad_enabled()


@pytest.mark.parametrize("z", [5, 0, -1, -66, 119, 300, 2**40])
def test_an_unknown_element_raises(tiny, scripted, arguments, z):
    """-66 counts from the end of the table to iodine."""
    arguments[1][2] = z
    with pytest.raises(DistillError, match=r"does not know"):
        tiny(*arguments)
    with pytest.raises(torch.jit.Error, match=f"does not know the element of atomic number {z}"):
        scripted(*arguments)
    with pytest.raises((IndexError, RuntimeError)):
        tiny.atomic_energies(*arguments)


def test_torchscript(scripted, tiny, arguments):
    energy, forces = tiny(*arguments)
    arguments[1] = arguments[1].int()
    for found in (scripted(*arguments), tiny(*arguments)):
        torch.testing.assert_close(found[0], energy, atol=1e-5, rtol=0)
        torch.testing.assert_close(found[1], forces, atol=1e-5, rtol=0)
    with torch.no_grad():
        torch.testing.assert_close(scripted(*arguments)[0], energy, atol=1e-5, rtol=0)
    with torch.inference_mode(), pytest.raises(RuntimeError, match=r"use .?torch\.no_grad"):
        scripted(*arguments)
