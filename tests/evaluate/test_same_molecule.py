"""Conformers of one molecule are known as such, isomers are told apart."""

import ase.build
import numpy as np
from ase import Atoms

from distill.data.explore import first_geometries
from distill.data.molecules import from_smiles
from distill.evaluate.frames import LabelledFrame
from distill.evaluate.same_molecule import tell_apart


def frame(atoms: Atoms, name: str = "", charge: int = 0) -> LabelledFrame:
    return LabelledFrame(
        name, atoms.numbers, atoms.positions, 0.0, np.zeros((len(atoms), 3)), charge=charge
    )


def test_conformers_in_any_order_and_isomers(rng: np.random.Generator) -> None:
    ethanol, ether = (ase.build.molecule(name) for name in ("CH3CH2OH", "CH3OCH3"))
    images = []
    for atoms in (ethanol, ether):
        for _ in range(5):
            moved = atoms.copy()
            moved.positions += rng.normal(0, 0.05, moved.positions.shape)
            images.append(moved[rng.permutation(len(moved))])
    told = tell_apart([frame(atoms) for atoms in images])
    assert [f.name for f in told] == ["C2H6O"] * 5 + ["C2H6O-2"] * 5
    assert len({f.molecule for f in told}) == 2


def test_md_of_a_flexible_molecule_is_one(rng: np.random.Generator) -> None:
    molecule = from_smiles("OC(=O)CCCC(N)CO")
    images = [
        Atoms(molecule.numbers, x + rng.normal(0, 0.06, x.shape))
        for x in first_geometries(molecule, 20, 0)
    ]
    stretched = images[0].copy()
    stretched.positions[-1] += 1.5 * (stretched.positions[-1] - stretched.positions.mean(0))
    assert len({f.molecule for f in tell_apart([*map(frame, images), frame(stretched)])}) == 1


def test_names_and_charges() -> None:
    water, ammonia = ase.build.molecule("H2O"), ase.build.molecule("NH3")
    told = tell_apart([
        frame(water, "config 1"), frame(water, "config 2"), frame(water, charge=1),
        frame(ammonia, "H2O"), frame(water),
    ])  # fmt: skip
    assert [f.name for f in told[:2]] == ["config 1", "config 2"]
    assert told[0].molecule == told[1].molecule == told[4].molecule
    assert len({f.molecule for f in told}) == 3
    assert "H2O" not in (told[2].name, told[4].name)  # that is another's


def test_periodic_frames_go_by_their_elements() -> None:
    box = ase.build.bulk("C", "diamond", a=3.57, cubic=True)
    told = tell_apart([
        LabelledFrame("", b.numbers, b.positions, 0.0, b.positions, b.cell.array, b.pbc)
        for b in (box, box, box * (2, 1, 1))
    ])  # fmt: skip
    assert [f.name for f in told] == ["C8", "C8", "C16"]
