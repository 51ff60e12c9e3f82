"""Geometries that cover what MD will visit: conformers, MD by a cheap force field or a student,
displacements.

Conformers come from RDKit's ETKDGv3 (Wang, Witek, Landrum, Riniker, J. Chem. Inf. Model. 60,
2044 (2020)), the forces of the MD from MMFF94 (Halgren, J. Comput. Chem. 17, 490 (1996)) or,
where it has no parameters, UFF (Rappé et al., J. Am. Chem. Soc. 114, 10024 (1992)).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from typing import Any

import numpy as np
from ase.units import kcal, mol
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

from distill.data.distort import displaced, handed, hopped, placed, stretched, turned
from distill.data.langevin import Forces, langevin
from distill.data.molecules import Molecule, geometry_problem, quietly
from distill.data.thinning import thin
from distill.errors import DistillError
from distill.stop import hears_ctrl_c
from distill.teacher.base import Teacher

FORCE_FIELD = "force-field"
TEACHER = "teacher"
STAND_IN = "tiny"
"""The shipped student that moves what no force field can: it needs no bonds."""
EMBEDDING_SECONDS = 30
"""RDKit gets this long for the conformers of a molecule, twice; drugs take one, at most."""


class TakesTooLong(DistillError):
    """A molecule that a library cannot do in the time it is given."""


_too_long: dict[tuple[str, str | None], str] = {}


@dataclass(frozen=True)
class Sampling:
    """How to make ``frames`` geometries of a molecule.

    Each of the ``conformers`` runs Langevin MD through the ``temperatures`` (K); a frame is
    taken every ``steps_between`` steps of 1 fs, after ``equilibration`` steps at each
    temperature. A ``displaced`` fraction of the frames gets Gaussian displacements whose
    standard deviation is drawn from ``displacement`` (Å), in a ``stretched`` fraction a bond is
    made ``stretch`` (from, to) times as long, in a ``turned`` fraction a torsion is turned, in a
    ``hopped`` fraction a hydrogen is on its way from one N, O or S to another. Frames closer than
    ``thinning`` Å (see `thin`) are dropped. ``md`` says whose forces move the atoms: FORCE_FIELD,
    a student by its name or path, whose geometries are nearer to the teacher's, or TEACHER, which
    costs a label a step. ``strained`` adds, to a student's MD, at most so many geometries in which
    it is about to break a bond (see `student_md`). ``handed`` adds, at most, so many in which the
    hydrogen of a hydrogen bond is on its way to the other side. ``relaxed`` adds geometries on the
    way of so many conformers to a minimum of the student ``md``, two of each, and for a complex of
    two ``pulled`` of each with the parts nearer to each other or farther apart; ``scanned`` adds so
    many whose torsion was turned and the rest relaxed (see `relax`). ``given`` adds the geometries
    that the user gave, beyond ``frames``. The same ``seed`` gives the same geometries.
    """

    frames: int = 10
    temperatures: tuple[float, ...] = (300.0, 500.0, 700.0)
    conformers: int = 2
    steps_between: int = 100
    equilibration: int = 100
    displaced: float = 0.1
    displacement: tuple[float, float] = (0.02, 0.1)
    stretched: float = 0.0
    stretch: tuple[float, float] = (0.85, 1.35)
    turned: float = 0.0
    hopped: float = 0.0
    strained: int = 0
    handed: int = 0
    relaxed: int = 0
    scanned: int = 0
    pulled: int = 0
    thinning: float = 0.02
    given: bool = True
    md: str = FORCE_FIELD
    seed: int = 0

    def __post_init__(self) -> None:
        if self.frames < 0 or self.conformers < 1 or self.steps_between < 1:
            raise DistillError("frames must be 0 or more, conformers and steps 1 or more.")
        if not self.temperatures or min(self.temperatures) <= 0:
            raise DistillError("Give at least one temperature, each above 0 K.")
        if self.handed < 0:
            raise DistillError("handed, a number of geometries, must be 0 or more.")
        if min(self.relaxed, self.scanned, self.pulled) < 0:
            raise DistillError(
                "relaxed, scanned and pulled, numbers of geometries, must be 0 or more."
            )
        if (self.relaxed or self.scanned) and self.md in (FORCE_FIELD, TEACHER):
            raise DistillError(
                "Relaxed and scanned geometries come from a student: name one as md."
            )
        if self.strained < 0 or (self.strained and self.md in (FORCE_FIELD, TEACHER)):
            raise DistillError("strained geometries come from a student's MD: name one as md.")
        fractions = (self.displaced, self.stretched, self.turned, self.hopped)
        if not (min(fractions) >= 0 and sum(fractions) <= 1):  # NaN is neither
            raise DistillError(
                "The displaced, stretched, turned and hopped fractions must be between 0 and 1, "
                "and all together at most 1."
            )


@dataclass(frozen=True, eq=False)
class Frame:
    """One geometry (N, 3) in Å, where it comes from, and its temperature in K (0: none)."""

    positions: np.ndarray
    source: str
    temperature: float = 0.0


def sample(molecule: Molecule, sampling: Sampling, teacher: Teacher | None = None) -> list[Frame]:
    """Geometries of ``molecule``; ``teacher`` walks where the sampling says so.

    Raises DistillError when no conformer can be made.
    """
    digest = hashlib.sha256(f"{molecule.name} {sampling.seed}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    made = sampling.frames or sampling.relaxed or sampling.scanned
    if not made and not (sampling.given and molecule.positions):
        raise DistillError(
            f"no frames are asked for, and {molecule.name} has no geometry of its own"
        )
    frames = _dynamics(molecule, sampling, rng, teacher) if sampling.frames else []
    passed = _handed(frames, molecule, sampling.handed, rng)
    _distort(frames, molecule, sampling, rng)
    if sampling.given:
        frames = [Frame(p, "given") for p in molecule.positions] + frames
    frames += _relaxations(molecule, sampling, rng)
    if len(frames) > 1 and sampling.thinning > 0:
        kept = thin(np.array([frame.positions for frame in frames]), sampling.thinning)
        frames = [frames[k] for k in kept]
    return frames + passed


def _relaxations(molecule: Molecule, sampling: Sampling, rng: np.random.Generator) -> list[Frame]:
    """What a student relaxes."""
    if not (sampling.relaxed or sampling.scanned):
        return []
    from distill.data.relax import relaxations  # late: sampling alone does without torch

    return relaxations(_student_for(molecule, sampling.md), molecule, sampling, rng)


def _handed(
    frames: list[Frame], molecule: Molecule, count: int, rng: np.random.Generator
) -> list[Frame]:
    """``count`` places of a hydrogen in a hydrogen bond, of one frame or shared among several."""
    if not count or molecule.rdmol is None:
        return []
    each = max(1, count // max(1, len(frames)))
    return [
        Frame(positions, "handed", frame.temperature)
        for frame in frames
        for positions in handed(molecule.rdmol, frame.positions, each, rng)
        if not geometry_problem(positions)
    ][:count]


def _distort(
    frames: list[Frame], molecule: Molecule, sampling: Sampling, rng: np.random.Generator
) -> None:
    """Puts displaced, stretched, turned and hopped geometries in the place of some frames."""
    order = iter(rng.permutation(len(frames)))
    mol = molecule.rdmol
    ways: list[tuple[str, float, Callable[[np.ndarray], np.ndarray | None]]] = [
        ("displaced", sampling.displaced, lambda x: displaced(x, sampling.displacement, rng))
    ]
    if mol is not None:
        ways += [
            ("stretched", sampling.stretched, lambda x: stretched(mol, x, sampling.stretch, rng)),
            ("turned", sampling.turned, lambda x: turned(mol, x, rng)),
            ("hopped", sampling.hopped, lambda x: hopped(mol, x, rng)),
        ]
    for source, fraction, change in ways:
        for k in islice(order, round(fraction * len(frames))):
            moved = change(frames[k].positions)
            if moved is not None and not geometry_problem(moved):
                frames[k] = Frame(moved, source, frames[k].temperature)


def chunks(
    molecule: Molecule, sampling: Sampling, size: int = 20
) -> list[tuple[Molecule, Sampling]]:
    """Split one molecule's sampling into labelling tasks of at most ``size`` frames.

    Each task has its own seed and conformers, so the tasks are independent of each other.
    """
    tasks = []
    for k, start in enumerate(range(0, max(sampling.frames, 1), size)):
        part = replace(
            sampling,
            frames=min(size, sampling.frames - start),
            seed=sampling.seed + 1_000_003 * k,
            given=sampling.given and k == 0,
            relaxed=sampling.relaxed if k == 0 else 0,
            scanned=sampling.scanned if k == 0 else 0,
        )
        tasks.append((molecule, part))
    return tasks


def _dynamics(
    molecule: Molecule, sampling: Sampling, rng: np.random.Generator, teacher: Teacher | None
) -> list[Frame]:
    """The frames of the MD, or displacements where nothing can move the molecule."""
    mols = []
    if molecule.rdmol is not None:
        mols = starts_of(molecule, sampling.conformers, int(rng.integers(2**31 - 1)))
    starts = [m.GetConformer().GetPositions() for m in mols] or _given(molecule, sampling)
    segments = [(start, t) for start in starts for t in sampling.temperatures]
    # frames dealt out to (conformer, temperature); a different order for each molecule, so that
    # a few frames a molecule do not always come from the lowest temperatures
    share = np.zeros(len(segments), dtype=int)
    order = rng.permutation(len(segments))
    for k in range(sampling.frames):
        share[order[k % len(segments)]] += 1
    mover = moved_by(molecule, sampling)
    if mover not in (FORCE_FIELD, TEACHER):
        found = _student_dynamics(molecule, sampling, mover, segments, share, rng) if mover else []
        if found or mover == sampling.md:
            return found
        return _scattered(molecule, sampling, rng)  # the stand-in cannot hold this molecule
    if mover == TEACHER:
        name, forces = "teacher-md", _teacher_forces(molecule, teacher)
    else:
        name, forces = force_field(mols[0])
    frames = []
    for k, (start, temperature) in enumerate(segments):
        if k % len(sampling.temperatures) == 0:
            positions = start
            velocities = np.zeros_like(positions)
        if not share[k]:
            continue
        steps = langevin(positions, velocities, molecule.masses, forces, temperature, rng)
        for _ in range(sampling.equilibration):
            next(steps)
        for _ in range(share[k]):
            for _ in range(sampling.steps_between):
                positions, velocities = next(steps)
            frames.append(Frame(positions.copy(), name, temperature))
    return frames


def moved_by(molecule: Molecule, sampling: Sampling) -> str:
    """Whose MD it will be: as the sampling says; but where that is a force field and there is none,
    STAND_IN, if it knows the elements and the charge, else nobody's: an empty string.

    A hydrogen atom bound to nothing is nothing that it knows, either: it would fly away.
    """
    if sampling.md != FORCE_FIELD or _has_force_field(molecule):
        return sampling.md
    from distill.data.student_md import bonded_pairs  # late: sampling alone does without torch

    hydrogen = molecule.numbers == 1
    if len(molecule) > 1 and not all(
        bonded_pairs(molecule.numbers, geometry)[hydrogen].any(axis=1).all()
        for geometry in molecule.positions
    ):
        return ""
    try:
        _student_for(molecule, STAND_IN)
    except DistillError:
        return ""
    return STAND_IN


def not_as_asked(tasks: Iterable[tuple[Molecule, Any]]) -> str:
    """A sentence for each way in which tasks' MD will be another than was asked for, or none."""
    moved: dict[str, list[str]] = {STAND_IN: [], "": []}
    seen: set[str] = set()
    for molecule, work in tasks:
        if isinstance(work, Sampling) and work.frames and molecule.name not in seen:
            seen.add(molecule.name)
            mover = moved_by(molecule, work)
            if mover != work.md:
                moved[mover].append(molecule.name)
    what = {
        STAND_IN: f"the student {STAND_IN} does, at the same temperatures",
        "": f"and the student {STAND_IN} does not know it, so there is no MD, only the given "
        "geometries with their atoms displaced a little, of no temperature (`distill label --md` "
        "takes a student that knows it, or teacher)",
    }
    return "\n".join(
        f"{_listed(names)}: the bonds are unknown or unusual, so no force field can move the "
        f"atoms; {what[mover]}. An SDF file with the bonds mends this."
        for mover, names in moved.items()
        if names
    )


def _listed(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _has_force_field(molecule: Molecule) -> bool:
    mol_ = molecule.rdmol
    return mol_ is not None and (
        quietly(rdForceFieldHelpers.UFFHasAllMoleculeParams, mol_)
        or quietly(rdForceFieldHelpers.MMFFHasAllMoleculeParams, mol_)
    )


def _given(molecule: Molecule, sampling: Sampling) -> list[np.ndarray]:
    """The user's geometries that MD starts from."""
    if not molecule.positions:
        raise DistillError(f"{molecule.name} has neither bonds nor a geometry to start from.")
    return [molecule.positions[k] for k in _spread(len(molecule.positions), sampling.conformers)]


def _spread(available: int, wanted: int) -> list[int]:
    """The indices of at most ``wanted``, from first to last."""
    chosen = np.linspace(0, available - 1, min(wanted, available)).round().astype(int)
    return [int(k) for k in chosen]


def _teacher_forces(molecule: Molecule, teacher: Teacher | None) -> Forces:
    """The teacher's; DistillError where it has no answer."""
    if teacher is None:
        raise DistillError("MD by the teacher needs one; geometries alone come from another MD.")

    def forces(positions: np.ndarray) -> np.ndarray:
        (label,) = teacher.label([molecule.atoms(positions)])
        if label.error:
            raise DistillError(f"the teacher failed in its own MD ({label.error})")
        return label.forces

    return forces


def _student_dynamics(
    molecule: Molecule,
    sampling: Sampling,
    mover: str,
    segments: Sequence[tuple[np.ndarray, float]],
    share: np.ndarray,
    rng: np.random.Generator,
) -> list[Frame]:
    """share[k] frames of each (conformer, temperature), from replicas that move at once."""
    from distill.data.student_md import student_md  # late: sampling alone does without torch

    student = _student_for(molecule, mover)
    walked = [k for k in range(len(segments)) if share[k]]
    strained: list[Frame] = []
    taken = student_md(
        student,
        molecule.numbers,
        [segments[k][0] for k in walked],
        [segments[k][1] for k in walked],
        frames=int(share.max()),
        steps_between=sampling.steps_between,
        equilibration=sampling.equilibration,
        seed=int(rng.integers(2**31 - 1)),
        strained=strained if sampling.strained else None,
        masses=molecule.masses,
    )
    found = [frame for k, frames in zip(walked, taken) for frame in frames[: share[k]]]
    return found + strained[: sampling.strained]


def _student_for(molecule: Molecule, name: str) -> Any:
    """The student; DistillError where it does not know an element or the charge."""
    student = _student(name)
    student.check_elements(molecule.numbers)
    student.check_charge(molecule.charge)
    return student


@cache
def _student(name: str) -> Any:
    from distill.student.file import load_student

    return load_student(name)


def force_field(mol_: Chem.Mol) -> tuple[str, Forces]:
    """The name of the MD's source and the forces (N, 3) in eV/Å at positions (N, 3) in Å."""
    field, name = None, "mmff94-md"
    parameters = rdForceFieldHelpers.MMFFGetMoleculeProperties(mol_)
    if parameters is not None:
        field = rdForceFieldHelpers.MMFFGetMoleculeForceField(
            mol_, parameters, ignoreInterfragInteractions=False
        )
    if field is None and quietly(rdForceFieldHelpers.UFFHasAllMoleculeParams, mol_):
        field = rdForceFieldHelpers.UFFGetMoleculeForceField(
            mol_, ignoreInterfragInteractions=False
        )
        name = "uff-md"
    if field is None:
        raise DistillError("Neither MMFF94 nor UFF has parameters for this molecule.")
    field.Initialize()
    unit = kcal / mol

    def forces(positions: np.ndarray) -> np.ndarray:
        flat = positions.ravel().tolist()
        field.CalcEnergy(flat)  # CalcGrad alone would use the distances of the last energy
        return np.array(field.CalcGrad(flat)).reshape(-1, 3) * -unit

    return name, forces


def starts_of(molecule: Molecule, count: int, seed: int) -> list[Chem.Mol]:
    """One Mol a conformer: the user's geometries first, then relaxed ETKDG conformers."""
    assert molecule.rdmol is not None
    starts = []
    for k in _spread(len(molecule.positions), count):
        starts.append(_relaxed(placed(molecule.rdmol, molecule.positions[k])))
    # ETKDG puts the fragments of a complex on top of each other
    if len(starts) < count and len(Chem.GetMolFrags(molecule.rdmol)) == 1:
        try:
            starts += _conformers(molecule, count - len(starts), seed)
        except TakesTooLong:
            if not starts:
                raise
    if not starts:
        raise DistillError(
            f"RDKit finds no conformer of {molecule.name}; give a geometry (SDF or XYZ) instead."
        )
    return starts


def _conformers(molecule: Molecule, count: int, seed: int) -> list[Chem.Mol]:
    assert molecule.rdmol is not None
    key = (molecule.name, molecule.smiles)
    if key in _too_long:  # tried once in this process
        raise TakesTooLong(_too_long[key])
    embedded = Chem.Mol(molecule.rdmol, True)
    settings: Any = rdDistGeom.ETKDGv3()  # RDKit's type stubs forbid setting its attributes
    settings.randomSeed = seed
    settings.numThreads = 1
    settings.timeout = EMBEDDING_SECONDS

    def embed(wanted: int) -> tuple[list[int], bool]:
        ended = list(hears_ctrl_c(rdDistGeom.EmbedMultipleConfs, embedded, wanted, settings))
        return [k for k in ended if k >= 0], -1 in ended  # -1: it took too long

    found, late = embed(count)
    if not found:  # cages and large rings
        settings.useRandomCoords = True
        found, late = embed(1 if late else count)
    if late:
        _too_long[key] = (
            f"RDKit finds no conformer of {molecule.name} within {EMBEDDING_SECONDS} s; "
            "give a geometry (SDF or XYZ) instead"
        )
        raise TakesTooLong(_too_long[key])
    return [_relaxed(Chem.Mol(embedded, False, identifier)) for identifier in found]


def _relaxed(start: Chem.Mol) -> Chem.Mol:
    """The force field's MD starts near a minimum of its own, else it would explode."""
    if rdForceFieldHelpers.MMFFHasAllMoleculeParams(start):
        rdForceFieldHelpers.MMFFOptimizeMolecule(
            start, maxIters=500, ignoreInterfragInteractions=False
        )
    elif quietly(rdForceFieldHelpers.UFFHasAllMoleculeParams, start):
        rdForceFieldHelpers.UFFOptimizeMolecule(
            start, maxIters=500, ignoreInterfragInteractions=False
        )
    return start


def _scattered(molecule: Molecule, sampling: Sampling, rng: np.random.Generator) -> list[Frame]:
    """Displaced copies of the user's geometries, for a molecule that nothing can move."""
    if not molecule.positions:
        raise DistillError(
            f"Neither MMFF94, UFF nor the student {STAND_IN} can move {molecule.name}; give a "
            "geometry (SDF or XYZ), or MD by another student or the teacher"
        )
    frames = []
    for k in range(sampling.frames):
        start = molecule.positions[k % len(molecule.positions)]
        frames.append(Frame(displaced(start, sampling.displacement, rng), "displaced"))
    return frames
