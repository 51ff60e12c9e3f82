"""``mixed``: energies against their parts, forces against slopes, and what users get wrong."""

from pathlib import Path

import numpy as np
import openmm
import pytest
from ase import Atoms, units
from openmm import app
from openmmml import MLPotential

from distill import DistillError, load_student
from distill_ase import StudentCalculator
from distill_openmm import mixed, with_link_atoms
from distill_openmm.mixed import BONDED, NONBONDED, STUDENT
from distill_openmm.prepared import Prepared

DIPEPTIDE = Path(__file__).parents[2] / "examples" / "alanine_dipeptide.pdb"
PEPTIDE = list(range(22))
EV = units.mol / units.kJ


class Wet:
    """Alanine dipeptide in a little TIP3P, by Amber14 with PME, as in MD."""

    def __init__(self, **options: object):
        self.forcefield = app.ForceField("amber14-all.xml", "amber14/tip3p.xml")
        pdb = app.PDBFile(str(DIPEPTIDE))
        model = app.Modeller(pdb.topology, pdb.positions)
        model.addSolvent(self.forcefield, boxSize=openmm.Vec3(2.0, 2.0, 2.0), model="tip3p")
        model.delete([r for r in model.topology.residues() if r.name == "HOH"][60:])
        self.topology, self.positions = model.topology, np.array(model.positions._value)
        chosen = {"nonbondedMethod": app.PME, "constraints": app.HBonds, **options}
        self.mm = self.forcefield.createSystem(
            self.topology, nonbondedCutoff=0.99, flexibleConstraints=True, **chosen
        )  # all pairs of the peptide are nearer


@pytest.fixture(scope="module")
def wet() -> Wet:
    return Wet()


def context_of(
    system: openmm.System, platform: str = "Reference", threads: int | None = None
) -> openmm.Context:
    properties = {} if threads is None else {"Threads": str(threads)}
    integrator = openmm.VerletIntegrator(0.001)
    return openmm.Context(system, integrator, openmm.Platform.getPlatform(platform), properties)


def energy(
    system: openmm.System | openmm.Context,
    positions: np.ndarray,
    platform: str = "Reference",
    groups: int | set[int] = -1,
    threads: int | None = None,
    **parameters: float,
) -> tuple[float, np.ndarray]:
    """In kJ/mol, and forces in kJ/mol/nm."""
    context = system
    if isinstance(system, openmm.System):
        context = context_of(system, platform, threads)
    context.setPositions(positions)
    for name, value in parameters.items():
        context.setParameter(name, value)
    state = context.getState(energy=True, forces=True, groups=groups)
    return state.getPotentialEnergy()._value, state.getForces(asNumpy=True)._value


def by_student(student: Path, atoms: Atoms) -> float:
    """In kJ/mol, float64, through ASE."""
    atoms.calc = StudentCalculator(student, dtype="float64")
    return atoms.get_potential_energy() * EV


def peptide_in_vacuum(wet: Wet) -> float:
    """Its energy by Amber14, in kJ/mol: what is taken out of the mixed System."""
    alone = app.PDBFile(str(DIPEPTIDE)).topology
    mm = wet.forcefield.createSystem(alone, nonbondedMethod=app.NoCutoff)
    return energy(mm, wet.positions[:22])[0]


def peptide(wet: Wet) -> Atoms:
    numbers = [a.element.atomic_number for a in wet.topology.atoms()][:22]
    return Atoms(numbers, wet.positions[:22] * 10)


def test_the_energy_is_the_sum_of_its_parts(wet, tiny_file) -> None:
    system = mixed(tiny_file, wet.topology, wet.mm, PEPTIDE, precision="double")
    of_student = by_student(tiny_file, peptide(wet))
    # the reference energies of the atoms are large: what is to be found is small beside them
    expected = energy(wet.mm, wet.positions)[0] - peptide_in_vacuum(wet)
    found = energy(system, wet.positions)[0] - of_student
    assert found == pytest.approx(expected, rel=1e-6)
    # and by groups
    groups = {k: energy(system, wet.positions, groups={k})[0] for k in (0, 1, 2)}
    assert groups[STUDENT] == pytest.approx(of_student, rel=1e-10)
    assert sum(groups.values()) - of_student == pytest.approx(found, rel=1e-6)
    assert abs(groups[NONBONDED]) > 100 and groups[BONDED] != 0
    assert energy(system, wet.positions, groups=set(range(3, 32)))[0] == 0


def test_platforms_and_threads_agree(wet, tiny_file) -> None:
    system = mixed(tiny_file, wet.topology, wet.mm, PEPTIDE, precision="double")
    first, forces = energy(system, wet.positions)
    own = by_student(tiny_file, peptide(wet))
    for threads in (1, 2):
        other, its = energy(system, wet.positions, "CPU", threads=threads)
        assert other - own == pytest.approx(first - own, rel=2e-4)  # Amber in single precision
        np.testing.assert_allclose(its, forces, rtol=0, atol=1e-3 * abs(forces).max())
    one, two = (energy(system, wet.positions, "CPU", groups={STUDENT}, threads=k) for k in (1, 2))
    assert one[0] == two[0] and np.array_equal(one[1], two[1])


def test_interpolation(wet, tiny_file) -> None:
    args = tiny_file, wet.topology, wet.mm, PEPTIDE
    system = context_of(mixed(*args, precision="double", interpolate=True))
    mm = energy(wet.mm, wet.positions)
    ml = energy(mixed(*args, precision="double"), wet.positions)
    for x in (0.0, 0.5, 1.0):
        found = energy(system, wet.positions, lambda_interpolate=x)
        between = [(1 - x) * a + x * b for a, b in zip(mm, ml)]
        assert found[0] == pytest.approx(between[0], rel=1e-6)
        np.testing.assert_allclose(found[1], between[1], rtol=0, atol=1e-5 * abs(mm[1]).max())
    # what depends on lambda is the student's group
    ends = [
        [energy(system, wet.positions, groups={k}, lambda_interpolate=x)[0] for x in (0.0, 1.0)]
        for k in (BONDED, STUDENT, NONBONDED)
    ]
    assert ends[0][0] == ends[0][1] and ends[2][0] == ends[2][1]
    assert ends[1][1] == pytest.approx(by_student(tiny_file, peptide(wet)), rel=1e-9)


def test_nothing_else_holds_the_hydrogens_at_zero(tiny_file) -> None:
    wet = Wet()
    mm = wet.forcefield.createSystem(wet.topology, constraints=app.HBonds)
    mixed(tiny_file, wet.topology, mm, PEPTIDE)
    with pytest.raises(DistillError, match="flexibleConstraints=True"):
        mixed(tiny_file, wet.topology, mm, PEPTIDE, interpolate=True)


def test_the_box_is_the_systems(tiny_file) -> None:
    """A prmtop's topology may have none, and PDB files have some that no force looks at."""
    wet = Wet()
    across = wet.positions.copy()
    across[:22] += [0.9, -0.3, 1.1]
    across[3] += [2.0, 0.0, 0.0]  # an atom in another image
    expected = energy(mixed(tiny_file, wet.topology, wet.mm, PEPTIDE), across)
    box = wet.topology.getPeriodicBoxVectors()
    wet.topology.setPeriodicBoxVectors(None)
    for interpolate in (False, True):
        system = mixed(tiny_file, wet.topology, wet.mm, PEPTIDE, interpolate=interpolate)
        found = energy(system, across)
        assert found[0] == pytest.approx(expected[0], rel=1e-9)
    wet.topology.setPeriodicBoxVectors(0.3 * box)  # smaller than the molecule
    vacuum = wet.forcefield.createSystem(wet.topology, nonbondedMethod=app.NoCutoff)
    system = mixed(tiny_file, wet.topology, vacuum, PEPTIDE)
    assert not system.usesPeriodicBoundaryConditions()
    own = energy(system, wet.positions, groups={STUDENT})[0]
    assert own == pytest.approx(by_student(tiny_file, peptide(wet)), rel=1e-7)


@pytest.mark.parametrize("solvent", ["obc2", "gbn2"])
def test_implicit_solvent(solvent: str, tiny_file) -> None:
    """It stays as it was, by the force field's charges."""
    pdb = app.PDBFile(str(DIPEPTIDE))
    forcefield = app.ForceField("amber14-all.xml", f"implicit/{solvent}.xml")
    mm, positions = forcefield.createSystem(pdb.topology), np.array(pdb.positions._value)
    vacuum = app.ForceField("amber14-all.xml").createSystem(pdb.topology)
    system = mixed(tiny_file, pdb.topology, mm, PEPTIDE, precision="double")
    polar = energy(mm, positions)[0] - energy(vacuum, positions)[0]
    own = energy(system, positions, groups={STUDENT})[0]
    assert energy(system, positions)[0] - own == pytest.approx(polar, rel=1e-5)
    assert energy(system, positions, groups={NONBONDED})[0] == pytest.approx(polar, rel=1e-5)
    with pytest.raises(DistillError, match="implicit solvent knows no link atoms"):
        mixed(tiny_file, pdb.topology, mm, indices(pdb.topology, "ALA", *SIDE))


def test_constraints_masses_molecules(wet, tiny_file) -> None:
    system = mixed(tiny_file, wet.topology, wet.mm, iter(PEPTIDE), hydrogen_mass=3.0)
    first = [system.getConstraintParameters(k)[0] for k in range(system.getNumConstraints())]
    assert len(first) == 3 * 60 and min(first) >= 22
    mass = [system.getParticleMass(k)._value for k in range(system.getNumParticles())]
    heavy = wet.forcefield.createSystem(wet.topology, hydrogenMass=3.0)
    before = [wet.mm.getParticleMass(k)._value for k in range(system.getNumParticles())]
    expected = [heavy.getParticleMass(k)._value for k in PEPTIDE] + before[22:]
    assert mass == pytest.approx(expected, rel=1e-3)
    assert sum(mass) == pytest.approx(sum(before))
    assert before[22:25] == pytest.approx([15.999, 1.008, 1.008], abs=0.01), "the given is changed"
    assert sorted(map(len, context_of(system).getMolecules())) == [3] * 60 + [22]
    assert mixed("tiny", wet.topology, wet.mm, PEPTIDE).alarm is not None


def test_virtual_sites_in_the_water(tiny_file) -> None:
    forcefield = app.ForceField("amber14-all.xml", "amber14/tip4pew.xml")
    pdb = app.PDBFile(str(DIPEPTIDE))
    model = app.Modeller(pdb.topology, pdb.positions)
    model.addSolvent(forcefield, boxSize=openmm.Vec3(2.0, 2.0, 2.0), model="tip4pew")
    mm = forcefield.createSystem(model.topology, nonbondedMethod=app.PME, nonbondedCutoff=0.9)
    system = mixed(tiny_file, model.topology, mm, PEPTIDE, hydrogen_mass=2.0)
    assert np.isfinite(energy(system, np.array(model.positions._value), "CPU")[0])
    site = next(a.index for a in model.topology.atoms() if a.element is None)
    with pytest.raises(DistillError, match=rf"Atom {site} .*virtual site"):
        mixed(tiny_file, model.topology, mm, [*PEPTIDE, site])


def test_groups_of_ones_own_stay(wet, tiny_file) -> None:
    mm = openmm.XmlSerializer.clone(wet.mm)
    for force in mm.getForces():
        if isinstance(force, openmm.NonbondedForce):
            force.setForceGroup(1)
            force.setReciprocalSpaceForceGroup(2)
    system = mixed(tiny_file, wet.topology, mm, PEPTIDE)
    groups = {type(force): force.getForceGroup() for force in system.getForces()}
    assert groups[openmm.NonbondedForce] == 1 and groups[openmm.PythonForce] == 3


def test_a_cut_peptide(tiny_file, rng) -> None:
    """The student has a methyl group, which becomes methane."""
    wet = Wet(switchDistance=0.8, ewaldErrorTolerance=1e-6)  # no jumps at the cutoff
    ml = [a.index for a in wet.topology.atoms() if a.residue.name == "ALA" and a.name in SIDE]
    info = {"link_atom_distances": {(ml[0], 8): 1.09}}
    system = mixed(tiny_file, wet.topology, wet.mm, ml, precision="double", **info)
    topology, positions = with_link_atoms(wet.topology, system, wet.positions)
    assert len(positions) == topology.getNumAtoms() == system.getNumParticles() == 22 + 180 + 1
    assert np.linalg.norm(positions[-1] - positions[ml[0]]) == pytest.approx(0.109)
    context = context_of(system)
    direction = np.zeros_like(positions)
    direction[:22] = rng.normal(size=(22, 3))

    def at(step: float) -> tuple[float, np.ndarray, np.ndarray]:
        context.setPositions(positions + step * direction)
        context.computeVirtualSites()
        state = context.getState(energy=True, forces=True, positions=True)
        placed = state.getPositions(asNumpy=True)._value
        return state.getPotentialEnergy()._value, state.getForces(asNumpy=True)._value, placed

    np.testing.assert_allclose(at(0.0)[2], positions, atol=1e-9)
    step = 3e-6
    slope = (at(step)[0] - at(-step)[0]) / (2 * step)
    assert (at(0.0)[1] * direction).sum() == pytest.approx(-slope, rel=3e-4)
    # what the student sees is methane, and what is said of distances is used
    own = Atoms("CHHHH", 10 * positions[[*ml, -1]])
    context.setPositions(positions)
    found = context.getState(energy=True, groups={STUDENT}).getPotentialEnergy()._value
    assert found == pytest.approx(by_student(tiny_file, own), rel=1e-10)
    both = context_of(mixed(tiny_file, wet.topology, wet.mm, ml, interpolate=True, **info))
    assert energy(both, positions, lambda_interpolate=0.0)[0] == pytest.approx(
        energy(wet.mm, wet.positions)[0], rel=1e-6
    )
    assert energy(both, positions, lambda_interpolate=1.0)[0] == pytest.approx(
        energy(context, positions)[0], abs=1e-3
    )
    far = wet.positions.copy()
    far[ml] += 1.0
    with pytest.raises(DistillError, match="make the molecule whole"):
        with_link_atoms(wet.topology, system, far)


SIDE = ("CB", "HB1", "HB2", "HB3")


def indices(topology: app.Topology, residue: str, *names: str) -> list[int]:
    return [a.index for a in topology.atoms() if a.residue.name == residue and a.name in names]


@pytest.mark.parametrize(
    ("atoms", "sentence"),
    [
        ([0, 1, 2], "ends? at the bond of .* one to hydrogen"),
        (PEPTIDE[:-1], "one to hydrogen"),
        (indices(app.PDBFile(str(DIPEPTIDE)).topology, "ACE", "C"), "is a double bond or conj"),
    ],
)
def test_bonds_that_must_not_be_cut(wet, tiny_file, atoms, sentence) -> None:
    with pytest.raises(DistillError, match=sentence):
        mixed(tiny_file, wet.topology, wet.mm, atoms)


def ring(*orders: int | None) -> tuple[app.Topology, openmm.System]:
    """Carbons in a ring with a tail of two, each with its hydrogens left out."""
    topology, system = app.Topology(), openmm.System()
    residue = topology.addResidue("LIG", topology.addChain())
    atoms = [topology.addAtom(f"C{k}", app.element.carbon, residue) for k in range(8)]
    pairs = [(k, (k + 1) % 6) for k in range(6)] + [(0, 6), (6, 7)]
    for (i, j), order in zip(pairs, [*orders, *[None] * 8]):
        topology.addBond(atoms[i], atoms[j], order=order)
    for _ in atoms:
        system.addParticle(12.0)
    system.addForce(openmm.NonbondedForce())
    for _ in atoms:
        system.getForce(0).addParticle(0.0, 0.3, 0.0)
    return topology, system


def test_cuts_of_rings_and_of_double_bonds(tiny_file) -> None:
    topology, system = ring(*[1] * 6, 1, 1)
    with pytest.raises(DistillError, match="0 .C0 of LIG 1. and 1 .C1 of LIG 1., which is in a"):
        mixed(tiny_file, topology, system, [0, 6, 7])
    for order in (2, None):
        topology, system = ring(*[1] * 6, order, 1)
        with pytest.raises(DistillError, match="no single bond" if order else "double bond or"):
            mixed(tiny_file, topology, system, range(6))


def test_a_poor_cut_is_told(wet, tiny_file) -> None:
    topology, system = ring(*[1] * 8)
    with pytest.warns(UserWarning, match="or conjugated .0 .C0 of LIG 1. and 6"):
        assert mixed(tiny_file, topology, system, range(6)).getNumParticles() == 9
    with pytest.warns(UserWarning, match=r"not between two carbons, or conjugated \(6 \(N of ALA"):
        ace = [a.index for a in wet.topology.atoms() if a.residue.name != "ACE"][:16]
        mixed(tiny_file, wet.topology, wet.mm, ace)


@pytest.mark.parametrize(
    ("atoms", "sentence"),
    [
        ([], "choose at least one"),
        ([0, 1, 1], "Atom 1 is listed twice"),
        ([0, 5000], "atoms 0 to 201"),
        ([-1], "run from -1 to -1"),
        (np.arange(202) < 22, "numpy.flatnonzero"),
        (range(30), r"Atom 22 belongs to a water \(HOH"),
        ("LIG", "whole numbers"),
        (None, "mixed needs atoms"),
    ],
)
def test_atoms_that_cannot_be_the_students(wet, tiny_file, atoms, sentence) -> None:
    with pytest.raises(DistillError, match=sentence):
        mixed(tiny_file, wet.topology, wet.mm, atoms)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"interpolat": True}, "mixed does not know 'interpolat'; did you mean 'interpolate'"),
        ({"hydrogenMass": 3}, "did you mean 'hydrogen_mass'"),
        ({"precision": "half"}, "'single' or 'double'"),
        ({"hydrogen_mass": 9.0}, "hydrogen_mass is 9, which leaves"),
        ({"hydrogen_mass": "heavy"}, "hydrogen_mass is heavy"),
        ({"charge": 0.5}, "whole number"),
        ({"charge": 2}, "charge 0, 1 only"),
        ({"skin": 0}, "skin"),
        ({"device": "abacus"}, "device"),
        ({"link_atom_distances": {(0, 1): 1.1}}, "no bond that is cut; these are none"),
    ],
)
def test_options_that_cannot_be_meant(wet, tiny_file, options, sentence) -> None:
    with pytest.raises(DistillError, match=sentence):
        mixed(tiny_file, wet.topology, wet.mm, PEPTIDE, **options)


def test_systems_that_do_not_belong(wet, tiny_file) -> None:
    alone = app.PDBFile(str(DIPEPTIDE)).topology
    with pytest.raises(DistillError, match="22 atoms and the System 202 particles"):
        mixed(tiny_file, alone, wet.mm, PEPTIDE)
    with pytest.raises(DistillError, match="system is of the type NoneType"):
        mixed(tiny_file, alone, None, PEPTIDE)
    with pytest.raises(DistillError, match="topology is of the type str"):
        mixed(tiny_file, "dipeptide.pdb", wet.mm, PEPTIDE)
    bare = app.Topology()
    residue = bare.addResidue("LIG", bare.addChain())
    for atom in alone.atoms():
        bare.addAtom(atom.name, atom.element, residue)
    vacuum = wet.forcefield.createSystem(alone)
    with pytest.raises(DistillError, match="the topology has none; call distill_openmm.add_bonds"):
        mixed(tiny_file, bare, vacuum, PEPTIDE)
    twice = mixed(tiny_file, alone, vacuum, PEPTIDE)
    with pytest.raises(DistillError, match="has a PythonForce already"):
        mixed(tiny_file, alone, twice, PEPTIDE)
    with pytest.raises(DistillError, match="does not know Na"):
        topology, system = ring(*[1] * 8)
        next(topology.atoms()).element = app.element.sodium
        mixed(tiny_file, topology, system, range(8))


def test_a_charge_that_the_student_has_not_learned(tiny_file) -> None:
    topology, system = ring(*[1] * 8)
    system.getForce(0).setParticleParameters(0, -1.0, 0.3, 0.0)
    with pytest.raises(DistillError, match="charge 0, 1 only, not -1"):
        mixed(tiny_file, topology, system, range(8))
    mixed(tiny_file, topology, system, range(8), charge=0)


def test_ions_are_none_of_it(tiny_file) -> None:
    topology, system = ring(*[1] * 8)
    for _ in range(2):
        residue = topology.addResidue("CL", topology.addChain())
        topology.addAtom("CL", app.element.chlorine, residue)
        system.addParticle(35.0)
        system.getForce(0).addParticle(-1.0, 0.4, 0.0)
    with pytest.raises(DistillError, match="Atom 8 .CL 2. is by itself"):
        mixed(tiny_file, topology, system, range(9))
    assert mixed(tiny_file, topology, system, range(8)).getNumParticles() == 10


def test_waters_where_they_are_meant(wet, tiny_file) -> None:
    system = mixed(tiny_file, wet.topology, wet.mm, [*PEPTIDE, 22, 23, 24], waters=True)
    assert system.getNumConstraints() == 3 * 59
    with pytest.raises(DistillError, match="one to hydrogen"):
        mixed(tiny_file, wet.topology, wet.mm, [*PEPTIDE, 22, 23], waters=True)


def test_prepared_and_a_student_in_memory(wet, tiny_file) -> None:
    student, positions = load_student(tiny_file), 10 * wet.positions
    prepared = Prepared(wet.topology, wet.mm, positions, PEPTIDE, 20 * np.eye(3), 0)
    expected = energy(mixed(tiny_file, wet.topology, wet.mm, PEPTIDE), wet.positions)[0]
    assert energy(mixed(student, prepared), wet.positions)[0] == expected
    charged = Prepared(wet.topology, wet.mm, positions, PEPTIDE, charge=-2)
    with pytest.raises(DistillError, match="not -2"):
        mixed(student, charged)


def test_a_water_by_the_student_alone(tiny_file, engines) -> None:
    water = Atoms("OHH", [[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])
    prepared = Prepared(engines.topology(water), None, water.positions, [0, 1, 2])
    found = energy(mixed(tiny_file, prepared, precision="double"), 0.1 * water.positions)[0]
    assert found == pytest.approx(by_student(tiny_file, water), rel=1e-10)


@pytest.mark.parametrize("box", [None, 30.0])
def test_nothing_but_the_student(tiny_file, box: float | None) -> None:
    pdb = app.PDBFile(str(DIPEPTIDE))
    positions = np.array(pdb.positions._value)
    cell = None if box is None else box * np.eye(3)
    prepared = Prepared(pdb.topology, None, 10 * positions, PEPTIDE, cell)
    system = mixed(tiny_file, prepared, precision="double", hydrogen_mass=3.0)
    assert system.usesPeriodicBoundaryConditions() == (box is not None)
    alone = MLPotential("distill", modelPath=tiny_file).createSystem(pdb.topology)
    assert energy(system, positions)[0] == pytest.approx(energy(alone, positions)[0], rel=1e-8)
    assert system.getParticleMass(1)._value == 3.0
    with pytest.raises(DistillError, match="no force field for the atoms"):
        mixed(tiny_file, Prepared(pdb.topology, None, positions, [0, 1]))


def test_md_of_it(wet, tiny_file) -> None:
    """Multiple time steps by the groups, with Amber's peptide to be sure of the start."""
    system = mixed("tiny", wet.topology, wet.mm, PEPTIDE, hydrogen_mass=3.0)
    groups = [(NONBONDED, 1), (BONDED, 2), (STUDENT, 2)]
    integrator = openmm.MTSLangevinIntegrator(300, 5.0, 0.002, groups)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatform("CPU"))
    context.setPositions(wet.positions)
    openmm.LocalEnergyMinimizer.minimize(context, maxIterations=20)
    context.setVelocitiesToTemperature(300, 1)
    integrator.step(20)
    after = context.getState(positions=True).getPositions(asNumpy=True)._value
    assert np.isfinite(after).all()
    waters = after[22:].reshape(-1, 3, 3)
    bonds = np.linalg.norm(waters[:, 0] - waters[:, 1], axis=-1)
    assert bonds == pytest.approx(0.09572, abs=1e-5)


def test_the_lines_of_the_page() -> None:
    page = (DIPEPTIDE.parents[1] / "docs" / "ml-mm.md").read_text()
    block = page.split("```python\n")[1].split("```")[0]
    found: dict = {}
    exec(block.replace('"examples/alanine_dipeptide.pdb"', repr(str(DIPEPTIDE))), found)
    assert found["system"].getNumConstraints() % 3 == 0
