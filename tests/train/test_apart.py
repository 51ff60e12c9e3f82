"""Complexes with their parts far apart, from the parts' labels."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from distill.data.label import label
from distill.data.molecules import from_smiles, read_molecules
from distill.data.sampling import Sampling
from distill.evaluate.frames import read_frames
from distill.teacher.base import TeacherSpec, load_teacher
from distill.train.apart import EACH, GAP, SOURCE, apart

GIVEN = Sampling(frames=0)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pairs and three molecules; one part of the second pair is not among these."""
    path = tmp_path_factory.mktemp("apart") / "contacts.h5"
    pairs = {m.name: m for m in read_molecules("dimers:train")}
    first = next(m for m in pairs.values() if m.smiles and set(m.smiles.split(".")) == {"C", "CO"})
    other = next(m for m in pairs.values() if "c1ccccc1" in (m.smiles or "").split("."))
    tasks = [(m, GIVEN) for m in (first, other)]
    some = Sampling(frames=3, conformers=1)
    tasks += [(from_smiles(s), some) for s in ("C", "CO")]
    label(tasks, TeacherSpec("gfn2-xtb"), path, workers=0)
    return path


def test_energies_add_up_as_the_teacher_says(labelled: Path) -> None:
    frames = apart([labelled])
    assert len(frames) == EACH and {f.source for f in frames} == {SOURCE}
    assert len({f.name for f in frames}) == 1
    best, second = frames
    assert best.energy < second.energy
    teacher = load_teacher("gfn2-xtb")
    (answer,) = teacher.label([Atoms(best.numbers, best.positions, info={"charge": 0, "spin": 1})])
    assert answer.energy == pytest.approx(best.energy, abs=1e-4)
    assert answer.forces == pytest.approx(best.forces, abs=1e-3)
    x = best.positions[:, 0]
    assert np.ptp(x) > 0.9 * GAP


def test_parts_may_be_in_another_file(labelled: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone.h5"
    label([(from_smiles("CO"), Sampling(frames=2))], TeacherSpec("gfn2-xtb"), alone, workers=0)
    assert apart([alone]) == []
    assert apart([alone], [labelled]) == []  # complexes of the second are not asked for
    assert len(apart([labelled], [alone])) == EACH
    assert {f.name for f in apart([labelled])} <= {f.name for f in read_frames(labelled)}
