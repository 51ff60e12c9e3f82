"""Sampled geometries: physical, reproducible, from every temperature, the right number."""

import sys
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ase.data import atomic_masses, covalent_radii
from ase.units import kB
from rdkit import Chem
from rdkit.Chem import AllChem, rdDistGeom, rdMolTransforms
from scipy.spatial.distance import pdist, squareform

from distill.data.distort import placed
from distill.data.langevin import langevin
from distill.data.molecules import Molecule, from_smiles
from distill.data.sampling import (
    Sampling,
    TakesTooLong,
    chunks,
    force_field,
    not_as_asked,
    sample,
    starts_of,
)
from distill.errors import DistillError
from distill.teacher import TeacherSpec, load_teacher

QUICK = {"steps_between": 10, "equilibration": 10}
ETHANOL = from_smiles("CCO")
ENDLESS = "CCSCc1ccc2c(c1)c1c3c(c4c5cc(CSCC)ccc5n5c4c1n2[C@@H]1C[C@H](C(=O)OOC)[C@]5(C)O1)CNC3=O"
"""RDKit's issue 4765: it looks for conformers for ever."""
sampling_module = sys.modules["distill.data.sampling"]


def test_number_sources_and_temperatures() -> None:
    frames = sample(ETHANOL, Sampling(frames=30, displaced=0.2, **QUICK))
    assert len(frames) == 30
    assert Counter(frame.source for frame in frames) == {"mmff94-md": 24, "displaced": 6}
    assert Counter(frame.temperature for frame in frames) == {300: 10, 500: 10, 700: 10}


def test_stretched_bonds_and_turned_torsions() -> None:
    """Each frame differs from some MD frame in one bond, or in one torsion."""
    plan = Sampling(frames=20, displaced=0.1, stretched=0.4, turned=0.3, thinning=0.0, **QUICK)
    frames = sample(ETHANOL, plan)
    counts = Counter(frame.source for frame in frames)
    assert counts == {"mmff94-md": 4, "displaced": 2, "stretched": 8, "turned": 6}
    mol = ETHANOL.rdmol
    assert mol is not None
    bonds = np.array([(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in mol.GetBonds()])

    def lengths(positions: np.ndarray) -> np.ndarray:
        return np.linalg.norm(positions[bonds[:, 0]] - positions[bonds[:, 1]], axis=1)

    usual = np.mean([lengths(f.positions) for f in frames if f.source == "mmff94-md"], axis=0)
    for frame in frames:
        ratio = lengths(frame.positions) / usual
        if frame.source == "stretched":
            assert ((ratio < 0.9) | (ratio > 1.1)).sum() <= 3
            assert 0.7 < ratio.min() and ratio.max() < 1.6
    stretched = [lengths(f.positions) / usual for f in frames if f.source == "stretched"]
    assert max(r.max() for r in stretched) > 1.15

    # of the hydroxyl and of the methyl group; MD turns neither far in so short a time
    torsions = [
        [rdMolTransforms.GetDihedralDeg(conformer, *t) for t in ((0, 1, 2, 8), (2, 1, 0, 3))]
        for conformer in (placed(mol, f.positions).GetConformer() for f in frames)
    ]
    is_turned = np.array([f.source == "turned" for f in frames])
    assert np.ptp(np.array(torsions)[is_turned], axis=0).max() > 90.0


def test_hydrogens_on_their_way() -> None:
    """Of acetic acid: about as far from one oxygen as from the other, not inside the carbon."""
    acid = from_smiles("CC(=O)O")
    plan = Sampling(frames=12, displaced=0.0, hopped=0.5, thinning=0.0, **QUICK)
    frames = sample(acid, plan)
    assert Counter(frame.source for frame in frames) == {"mmff94-md": 6, "hopped": 6}
    for frame in frames:
        to_carbonyl, to_hydroxyl = (
            np.linalg.norm(frame.positions[-1] - frame.positions[k]) for k in (2, 3)
        )
        if frame.source == "hopped":
            assert 0.9 < to_carbonyl < 1.6 and 0.9 < to_hydroxyl < 1.6
            assert np.linalg.norm(frame.positions[-1] - frame.positions[1]) > 1.0
        else:
            assert to_hydroxyl < 1.2 < 1.5 < to_carbonyl


def test_hydrogens_handed_over() -> None:
    """Of salicylic acid's phenol, along the bond to the acid; acetic acid has no such bond."""
    acid = from_smiles("O=C(O)c1ccccc1O")
    plan = Sampling(frames=2, displaced=0.0, handed=8, **QUICK)
    frames = sample(acid, plan)
    plain = [f.positions for f in frames if f.source == "mmff94-md"]
    moved = [f.positions for f in frames if f.source == "handed"]
    assert len(plain) == 2 and 4 <= len(moved) <= 8
    ratios = []
    for positions in moved:
        change = min((np.abs(positions - x).sum(1) > 1e-9 for x in plain), key=np.sum)
        (hydrogen,) = np.flatnonzero(change)
        assert acid.numbers[hydrogen] == 1
        oxygens = positions[acid.numbers == 8]
        one, other = np.sort(np.linalg.norm(oxygens - positions[hydrogen], axis=1))[:2]
        assert one > 0.89
        ratios.append(one / (one + other))
    assert np.ptp(ratios) > 0.1  # not all at one place
    lonely = sample(from_smiles("CC(=O)O"), plan)
    assert {f.source for f in lonely} == {"mmff94-md"}


def test_bonds_stretched_as_far_as_asked() -> None:
    plan = Sampling(frames=6, displaced=0.0, stretched=1.0, stretch=(1.5, 1.6), **QUICK)
    mol = ETHANOL.rdmol
    assert mol is not None
    ends = np.array([(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in mol.GetBonds()])
    hydrogen = ETHANOL.numbers[ends].min(axis=1) == 1
    usual = np.where(hydrogen, 1.1, 1.5)
    for frame in sample(ETHANOL, plan):
        lengths = np.linalg.norm(np.subtract(*frame.positions[ends.T]), axis=1)
        assert (lengths / usual).max() > 1.3


@pytest.mark.parametrize("share", [float("nan"), -0.1, 1.1])
def test_shares_that_are_none(share: float) -> None:
    with pytest.raises(DistillError, match="must be between 0 and 1"):
        Sampling(displaced=share)


def test_frames_of_a_student_s_md() -> None:
    """They come in the same shares as a force field's, and the same each time."""
    plan = Sampling(frames=12, displaced=0.25, md="ultra-tiny", **QUICK)
    frames = sample(ETHANOL, plan)
    assert Counter(frame.source for frame in frames) == {"student-md": 9, "displaced": 3}
    assert Counter(frame.temperature for frame in frames) == {300: 4, 500: 4, 700: 4}
    again = sample(ETHANOL, plan)
    assert np.array_equal([f.positions for f in frames], [f.positions for f in again])


def test_an_element_that_the_walking_student_does_not_know() -> None:
    with pytest.raises(DistillError, match="does not know Si"):
        sample(from_smiles("C[SiH3]"), Sampling(frames=2, md="ultra-tiny", **QUICK))


def test_what_has_no_bond_to_stretch_or_torsion_to_turn_stays_as_it_is() -> None:
    plan = Sampling(frames=10, displaced=0.0, stretched=0.5, turned=0.5, **QUICK)
    water = sample(from_smiles("O"), plan)
    assert {frame.source for frame in water} == {"mmff94-md", "stretched"}


def test_the_seed_decides() -> None:
    sampling = Sampling(frames=4, **QUICK)
    first, again = sample(ETHANOL, sampling), sample(ETHANOL, sampling)
    other = sample(ETHANOL, Sampling(frames=4, seed=1, **QUICK))
    for a, b, c in zip(first, again, other, strict=True):
        assert np.array_equal(a.positions, b.positions)
        assert not np.allclose(a.positions, c.positions, atol=0.1)


@pytest.mark.parametrize("smiles", ["CC(=O)Nc1ccc(O)cc1", "C[N+](C)(C)CC([O-])=O", "OP(O)(=S)CI"])
def test_bonds_hold(smiles: str) -> None:
    molecule = from_smiles(smiles)
    assert molecule.rdmol is not None
    radii = covalent_radii[molecule.numbers]
    for frame in sample(molecule, Sampling(frames=6, displaced=0)):
        distances = squareform(pdist(frame.positions)) / (radii[:, None] + radii)
        for bond in molecule.rdmol.GetBonds():
            assert 0.7 < distances[bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()] < 1.4


def test_forces_of_the_force_field_are_derivatives_of_its_energy() -> None:
    """At a far point first: RDKit's gradient remembers the distances of the energy before."""
    from rdkit.Chem import rdForceFieldHelpers as helpers

    (start,) = starts_of(ETHANOL, 1, 3)
    _, forces = force_field(start)
    x = start.GetConformer().GetPositions()
    forces(x + np.arange(x.size).reshape(x.shape) * 0.01)
    field = helpers.MMFFGetMoleculeForceField(start, helpers.MMFFGetMoleculeProperties(start))
    step = 1e-4
    energies = []
    for sign in (1, -1):
        moved = x.copy()
        moved[2, 0] += sign * step
        energies.append(field.CalcEnergy(moved.ravel().tolist()) * 0.0433641)
    assert forces(x)[2, 0] == pytest.approx(-(energies[0] - energies[1]) / (2 * step), abs=1e-4)


def test_langevin_keeps_the_temperature() -> None:
    """Harmonic wells: BAOAB's mean potential energy is 3/2 N k T, without step size error."""
    rng = np.random.default_rng(5)
    masses = np.where(np.arange(200) < 100, atomic_masses[6], 2.014)
    x = np.zeros((200, 3))
    steps = langevin(x, np.zeros_like(x), masses, lambda r: -10.0 * r, 500.0, rng, friction=0.05)
    potential, kinetic = [], []
    for k in range(2000):
        r, v = next(steps)
        if k > 300:
            potential.append(5.0 * (r**2).sum())
            kinetic.append(0.5 * (masses[:, None] * v**2).reshape(2, -1).sum(1))
    expected = 1.5 * 200 * kB * 500.0
    assert np.mean(potential) == pytest.approx(expected, rel=0.05)
    assert np.mean(kinetic, axis=0) == pytest.approx(expected / 2, rel=0.05)


@pytest.mark.parametrize("md", ["force-field", "ultra-tiny", "teacher"])
def test_isotopes_move_with_their_masses(md: str, monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[np.ndarray] = []

    def watched(x: np.ndarray, v: np.ndarray, masses: np.ndarray, *rest: Any) -> Any:
        moved.append(masses)
        return langevin(x, v, masses, *rest)

    monkeypatch.setattr("distill.data.sampling.langevin", watched)
    monkeypatch.setattr("distill.data.student_md.langevin", watched)
    heavy = from_smiles("[2H]O[13CH3]")
    teacher = load_teacher("gfn2-xtb") if md == "teacher" else None
    sample(heavy, Sampling(frames=1, displaced=0, md=md, **QUICK), teacher)
    table = Chem.GetPeriodicTable()
    assert len(moved) == 1
    for mass, atom in zip(moved[0], heavy.rdmol.GetAtoms(), strict=True):
        z, isotope = atom.GetAtomicNum(), atom.GetIsotope()
        natural = atomic_masses[z]
        assert mass == (table.GetMassForIsotope(z, isotope) if isotope else natural)
    assert moved[0].sum() == pytest.approx(32.04 + 1.006 + 0.993, abs=0.01)


def test_uff_where_mmff_has_no_parameters() -> None:
    molecule = from_smiles("CP(C)(C)(C)C")  # five-bonded phosphorus
    sources = {frame.source for frame in sample(molecule, Sampling(frames=2, displaced=0, **QUICK))}
    assert sources == {"uff-md"}


def test_given_geometries_come_along_and_start_the_md() -> None:
    geometry = sample(ETHANOL, Sampling(frames=1, **QUICK))[0].positions
    molecule = Molecule(
        "ethanol", ETHANOL.numbers, smiles="CCO", rdmol=ETHANOL.rdmol, positions=(geometry,)
    )
    frames = sample(molecule, Sampling(frames=3, **QUICK))
    assert [frame.source for frame in frames].count("given") == 1
    assert len(frames) == 4
    assert np.array_equal(frames[0].positions, geometry)
    assert [f.source for f in sample(molecule, Sampling(frames=0))] == ["given"]


def test_without_bonds_the_given_geometry_is_displaced() -> None:
    geometry = np.array([[0.0, 0, 0], [3.0, 0, 0], [-0.24, 0.93, 0]])
    molecule = Molecule("far water", np.array([8, 1, 1]), positions=(geometry,))
    frames = sample(molecule, Sampling(frames=5))
    assert len(frames) == 6
    for frame in frames[1:]:
        assert 0 < np.abs(frame.positions - geometry).max() < 0.6


def test_without_bonds_a_student_moves_the_atoms() -> None:
    """At the temperatures asked for; where none knows the elements, that is said."""
    geometry = sample(ETHANOL, Sampling(frames=1, **QUICK))[0].positions
    plan = Sampling(frames=12, displaced=0.0, temperatures=(200.0, 400.0), **QUICK)
    unknown = Molecule("ethanol", ETHANOL.numbers, positions=(geometry,))
    frames = sample(unknown, plan)
    assert Counter(f.source for f in frames) == {"given": 1, "student-md": 12}
    assert Counter(f.temperature for f in frames) == {0: 1, 200: 6, 400: 6}
    moved = [np.abs(pdist(f.positions) - pdist(geometry)).max() for f in frames[1:]]
    assert min(moved) > 0.01
    telling = not_as_asked([(unknown, plan), (unknown, plan), (ETHANOL, plan)])
    assert telling.count("ethanol") == 1 and "tiny" in telling and "SDF" in telling

    numbers = np.where(ETHANOL.numbers == 6, 14, ETHANOL.numbers)  # silicon
    strange = Molecule("strange", numbers, positions=(geometry,))
    assert {f.source for f in sample(strange, plan)} == {"given", "displaced"}
    assert "no temperature" in not_as_asked([(strange, plan)])
    assert not not_as_asked([(ETHANOL, plan), (ETHANOL, [])])


def test_without_bonds_the_teacher_moves_the_atoms() -> None:
    geometry = sample(ETHANOL, Sampling(frames=1, **QUICK))[0].positions
    unknown = Molecule("ethanol", ETHANOL.numbers, positions=(geometry,))
    plan = Sampling(frames=2, displaced=0.0, md="teacher", temperatures=(300.0,),
                    steps_between=2, equilibration=2, thinning=0.0)  # fmt: skip
    frames = sample(unknown, plan, TeacherSpec().load())
    assert [f.source for f in frames] == ["given", "teacher-md", "teacher-md"]


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Two seconds for an embedding; what is asked of RDKit."""
    asked: list[int] = []
    embed = rdDistGeom.EmbedMultipleConfs

    def watched(mol: object, count: int, settings: object) -> object:
        asked.append(count)
        return embed(mol, count, settings)  # type: ignore[arg-type]

    monkeypatch.setattr(sampling_module, "EMBEDDING_SECONDS", 1)
    monkeypatch.setattr(sampling_module, "_too_long", {})
    monkeypatch.setattr(rdDistGeom, "EmbedMultipleConfs", watched)
    return asked


def test_an_embedding_without_end_is_given_up_once(hurried: list[int]) -> None:
    molecule = from_smiles(ENDLESS)
    for seed in range(3):
        with pytest.raises(TakesTooLong, match="give a geometry"):
            sample(molecule, Sampling(frames=2, seed=seed))
    assert hurried == [2, 1]  # as usual, then one from random coordinates; and never again


def test_a_given_geometry_spares_an_endless_embedding(hurried: list[int]) -> None:
    """Further conformers cannot be made of it, but MD can start from what is there."""
    molecule = from_smiles(ENDLESS)
    assert molecule.rdmol is not None
    flat = Chem.Mol(molecule.rdmol)
    AllChem.Compute2DCoords(flat)
    positions = flat.GetConformer().GetPositions()
    positions[:, 2] = np.random.default_rng(1).normal(size=len(positions))
    given = replace(molecule, positions=(positions,))
    assert len(starts_of(given, 3, 1)) == 1


def test_duplicates_are_thinned() -> None:
    geometry = np.array([[0.0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    molecule = Molecule("water", np.array([8, 1, 1]), positions=(geometry, geometry + 1))
    assert len(sample(molecule, Sampling(frames=0))) == 1


def test_chunks_are_independent_and_complete() -> None:
    tasks = chunks(ETHANOL, Sampling(frames=25, **QUICK), size=10)
    assert [work.frames for _, work in tasks] == [10, 10, 5]
    assert len({work.seed for _, work in tasks}) == 3
    assert [work.given for _, work in tasks] == [True, False, False]


def test_no_conformer_is_an_error() -> None:
    impossible = from_smiles("C1#CC#CC#C1")
    caged = Molecule("caged", impossible.numbers, rdmol=None)
    with pytest.raises(DistillError, match="neither bonds nor a geometry"):
        sample(caged, Sampling(frames=1))


@pytest.mark.parametrize(
    "wrong",
    [{"frames": -1}, {"conformers": 0}, {"temperatures": ()}, {"temperatures": (0.0,)},
     {"displaced": 1.5}],
)  # fmt: skip
def test_senseless_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(DistillError):
        Sampling(**wrong)  # type: ignore[arg-type]


def test_no_frames_of_a_molecule_without_a_geometry() -> None:
    with pytest.raises(DistillError, match="no frames are asked for"):
        sample(from_smiles("CO"), Sampling(frames=0))
