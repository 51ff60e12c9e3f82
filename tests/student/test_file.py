"""The student file: exact round trips, and refusals that name the file and the reason."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import distill
from distill import DistillError
from distill.student import SIZES, Student, load_student, save_student
from distill.student.file import read_header


@pytest.fixture
def file(tmp_path) -> Path:
    """A good student file."""
    path = tmp_path / "good.safetensors"
    save_student(Student.untrained("ultra-tiny"), path)
    return path


def rewritten(file: Path, change) -> Path:
    """The file with another header, and the same tensors."""
    header, _ = read_header(file)
    change(header)
    path = file.with_name("changed.safetensors")
    save_file(load_file(file), path, metadata={"distill": json.dumps(header)})
    return path


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", SIZES)
def test_round_trip_is_bit_exact(size, dtype, tmp_path):
    student = Student.untrained(size, seed=5).to(dtype)
    student.reference.uniform_(-5000.0, 0.0)
    student.card = {"teacher": "gfn2-xtb", "errors": {"force_rmse": 0.1 + 0.2}, "note": "ÅΩ"}
    first, second = tmp_path / "a.safetensors", tmp_path / "deep" / "b.safetensors"
    save_student(student, first)
    loaded = load_student(first, dtype=dtype)
    save_student(loaded, second)

    assert first.read_bytes() == second.read_bytes()
    assert loaded.config == student.config
    assert student.card.items() <= loaded.card.items()
    state, again = student.state_dict(), loaded.state_dict()
    assert state.keys() == again.keys()
    assert all(torch.equal(state[k], again[k]) and state[k].dtype == again[k].dtype for k in state)
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())


def test_loading_gives_float32_unless_asked(file):
    assert distill.load_student(str(file)).painn.embedding.weight.dtype == torch.float32
    double = load_student(file, dtype=torch.float64)
    assert double.painn.embedding.weight.dtype == torch.float64
    assert double.reference.dtype == torch.float64


def test_loading_leaves_the_random_numbers_alone(file):
    before = torch.get_rng_state()
    load_student(file)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("keep", [0, 1, 7, 100, 0.5, -1])
def test_truncated(file, keep):
    whole = file.read_bytes()
    file.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    with pytest.raises(DistillError, match=r"good\.safetensors is truncated or not a safetensors"):
        load_student(file)


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_are_never_read(tmp_path, protocol):
    path, sprung = tmp_path / "evil.safetensors", tmp_path / "sprung"
    path.write_bytes(pickle.dumps(Trap(sprung), protocol=protocol))
    with pytest.raises(DistillError, match=r"evil\.safetensors is (a pickle|truncated or not)"):
        load_student(path)
    assert not sprung.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_torch_checkpoints_are_refused(tmp_path, zipped):
    path = tmp_path / "model.pt"
    torch.save({"w": torch.ones(2)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(DistillError, match=r"model\.pt is a pickle or a torch checkpoint"):
        load_student(path)


@pytest.mark.parametrize(
    "metadata", [None, {"format": "pt"}, {"distill": "no JSON"}, {"distill": "[1]"}]
)
def test_foreign_safetensors(tmp_path, metadata):
    path = tmp_path / "bert.safetensors"
    save_file({"w": torch.ones(2)}, path, metadata=metadata)
    with pytest.raises(DistillError, match=r"bert\.safetensors is a safetensors file of another"):
        load_student(path)


def test_another_format_version(file):
    newer = rewritten(file, lambda h: h.update(format_version=4))
    with pytest.raises(DistillError, match=r"changed.* student format 4.* upgrade mlff-distiller"):
        load_student(newer)
    older = rewritten(file, lambda h: h.update(format_version=0))
    with pytest.raises(DistillError, match=r"changed.* student format 0.* write it again"):
        load_student(older)


@pytest.mark.parametrize(
    "change",
    [
        lambda h: h.pop("architecture"),
        lambda h: h.update(architecture=[1, 2]),
        lambda h: h["architecture"].update(hidden=64),
        lambda h: h["architecture"].update(hidden="many"),
        lambda h: h["architecture"].update(hidden=33),
        lambda h: h["architecture"].update(layers=3),
        lambda h: h["architecture"].update(elements=[1, 6]),
        lambda h: h["architecture"].update(elements=[1, 6, 7, 8, 9, 15, 16, 17, 35, 999]),
        lambda h: h["architecture"].update(surprise=1),
    ],
)
def test_a_header_that_does_not_fit_the_tensors(file, change):
    with pytest.raises(DistillError, match=r"changed\.safetensors"):
        load_student(rewritten(file, change))


def test_missing(tmp_path):
    with pytest.raises(DistillError, match=r"No student file at .*nowhere.*original, tiny"):
        load_student(tmp_path / "nowhere.safetensors")
    with pytest.raises(DistillError, match="No student file"):
        load_student(tmp_path)


def test_a_failed_save_leaves_the_old_file(file):
    before = file.read_bytes()
    student = Student.untrained("ultra-tiny", seed=9)
    student.card = {"not": {"json"}}
    with pytest.raises(TypeError):
        save_student(student, file)
    assert file.read_bytes() == before
    assert [p.name for p in file.parent.iterdir()] == [file.name]


def test_a_flipped_bit_is_noticed(file, rng):
    """Anywhere: in the length, in the header or in the weights."""
    whole = file.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    places = [
        *range(64),
        *(8 * rng.integers(8, header, 120)),
        *(8 * rng.integers(0, len(whole), 60)),
    ]
    good, changed = load_student(file), file.with_name("flipped.safetensors")
    for place in places:
        bit = place + int(rng.integers(0, 8)) * (place >= 64)
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        changed.write_bytes(flipped)
        try:
            student = load_student(changed)
        except DistillError as error:
            assert "flipped.safetensors" in str(error)
        else:  # the name of the checksum itself
            assert good.card.items() <= student.card.items() and student.config == good.config
            state = good.state_dict()
            assert all(torch.equal(x, state[k]) for k, x in student.state_dict().items())


def without_checksum(file: Path, change) -> Path:
    """As files were before they had one, with changed header and tensors."""
    with safe_open(str(file), framework="pt") as opened:
        header = json.loads(opened.metadata()["distill"])
        tensors = {key: opened.get_tensor(key) for key in opened.keys()}
    del header["sha256"]
    change(header, tensors)
    path = file.with_name("old.safetensors")
    save_file(tensors, path, metadata={"distill": json.dumps(header)})
    return path


def test_a_file_without_a_checksum_is_read(file):
    old = without_checksum(file, lambda h, t: None)
    state = load_student(file).state_dict()
    assert all(torch.equal(x, state[k]) for k, x in load_student(old).state_dict().items())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda h, t: t["painn.readout.0.weight"][0].fill_(float("nan")), "not finite"),
        (lambda h, t: t["reference"].fill_(float("inf")), "reference is not finite"),
        (lambda h, t: h["architecture"].update(layers=10**9), "layers"),
        (lambda h, t: h["architecture"].update(hidden=16 * 10**9), "hidden"),
        (lambda h, t: h["architecture"].update(n_radial=10**9), "radial"),
        (lambda h, t: h["architecture"].update(cutoff=float("nan")), "cutoff"),
        (lambda h, t: h["architecture"].update(cutoff=float("inf")), "cutoff"),
        (lambda h, t: h["architecture"].update(elements=[-z for z in range(1, 11)]), "elements"),
        (lambda h, t: h["architecture"].update(elements=[float("inf")] * 10), "promises"),
        (lambda h, t: h["architecture"].update(family="SchNet"), "SchNet"),
        (lambda h, t: t.update(reference=t["reference"].long()), "int64"),
        (lambda h, t: t.update({"reference.int8_scale": torch.ones(3, 4, 5)}), "promises"),
    ],
)
def test_a_damaged_file_without_a_checksum(file, change, words):
    with pytest.raises(DistillError, match=rf"old\.safetensors .*{words}"):
        load_student(without_checksum(file, change))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"format": "mlff-distiller student"}'])
def test_headers_that_are_no_headers(tmp_path, text):
    path = tmp_path / "odd.safetensors"
    save_file({"w": torch.ones(2)}, path, metadata={"distill": text})
    with pytest.raises(DistillError, match=r"odd\.safetensors is a safetensors file of another"):
        load_student(path)


def test_other_files_are_named(tmp_path, file):
    for name, words in (
        ("a.onnx", "OnnxCalculator"),
        ("a.pt2", "AOTInductor"),
        ("a.h5", "dataset"),
    ):
        (tmp_path / name).write_bytes(b"x" * 100)
        with pytest.raises(DistillError, match=words):
            load_student(tmp_path / name)
    file.rename(tmp_path / "student.safetensors")
    with pytest.raises(DistillError, match=r"is a folder; give .*student\.safetensors"):
        load_student(tmp_path)
    with pytest.raises(DistillError, match="No student file"):
        load_student("x" * 5000)
    with pytest.raises(DistillError, match="device 'toaster' cannot be used"):
        load_student("ultra-tiny", device="toaster")


def test_loading_does_not_look_at_the_modes_of_torch(file):
    good = load_student(file)
    with torch.inference_mode(), torch.device("meta"):
        other = load_student(file)
    assert not any(x.is_inference() or x.is_meta for x in other.state_dict().values())
    assert all(torch.equal(x, good.state_dict()[k]) for k, x in other.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_default_dtype_of_the_callers(dtype) -> None:
    """What is not in the file, such as the radial functions', keeps its digits."""
    expected = load_student("ultra-tiny").state_dict()
    torch.set_default_dtype(dtype)
    try:
        found = load_student("ultra-tiny").state_dict()
        assert torch.get_default_dtype() == dtype
    finally:
        torch.set_default_dtype(torch.float32)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype and torch.equal(found[name], tensor), name
