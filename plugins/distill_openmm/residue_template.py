"""An Amber topology of one residue as a file of OpenMM's ``ForceField``.

With it the residue can be combined with Amber14 and its waters, and OpenMM's Modeller works.
Each atom is a type of its own, so nothing depends on how well wildcards are translated.
"""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import openmm
from openmm import app, unit

COULOMB_14, LJ_14 = 0.8333333333333334, 0.5
"""What 1-4 interactions are scaled by, in GAFF as in Amber14 (and as Amber14's files print it)."""

Quadruple = tuple[int, int, int, int]


def template(prmtop: Path, name: str, info: dict[str, str]) -> ET.Element:
    """The ``ForceField`` element with one residue template ``name``.

    prmtop: of one residue, by tleap, whose 1-4 scaling is Amber's (1.2 and 2). ``name`` is also the
    prefix of the atoms' types: unlike names can be loaded into one ForceField. info: goes into the
    file's ``Info``.
    """
    amber = app.AmberPrmtopFile(str(prmtop))
    system = amber.createSystem(constraints=None, rigidWater=False, removeCMMotion=False)
    atoms = list(amber.topology.atoms())
    types = [f"{name}-{a.index}" for a in atoms]
    root = ET.Element("ForceField")
    about = ET.SubElement(root, "Info")
    for key, text in info.items():
        ET.SubElement(about, key).text = text

    kinds = ET.SubElement(root, "AtomTypes")
    residue = ET.SubElement(ET.SubElement(root, "Residues"), "Residue", name=name)
    nonbonded = only(system, openmm.NonbondedForce)
    scales = {"coulomb14scale": repr(COULOMB_14), "lj14scale": repr(LJ_14)}
    pairs = ET.Element("NonbondedForce", scales)
    ET.SubElement(pairs, "UseAttributeFromResidue", name="charge")
    for atom, kind in zip(atoms, types):
        charge, sigma, epsilon = nonbonded.getParticleParameters(atom.index)
        mass = atom.element.mass.value_in_unit(unit.dalton)
        ET.SubElement(
            kinds, "Type",
            {"name": kind, "class": kind, "element": atom.element.symbol, "mass": repr(mass)},
        )  # fmt: skip
        ET.SubElement(residue, "Atom", name=atom.name, type=kind, charge=number(charge))
        ET.SubElement(pairs, "Atom", type=kind, sigma=number(sigma), epsilon=number(epsilon))
    for bond in amber.topology.bonds():
        ET.SubElement(residue, "Bond", atomName1=bond.atom1.name, atomName2=bond.atom2.name)

    bonds = ET.SubElement(root, "HarmonicBondForce")
    force = only(system, openmm.HarmonicBondForce)
    for k in range(force.getNumBonds()):
        i, j, length, strength = force.getBondParameters(k)
        entry(bonds, "Bond", types, (i, j), length=number(length), k=number(strength))
    angles = ET.SubElement(root, "HarmonicAngleForce")
    if len(atoms) > 2:
        force = only(system, openmm.HarmonicAngleForce)
        for k in range(force.getNumAngles()):
            i, j, m, angle, strength = force.getAngleParameters(k)
            entry(angles, "Angle", types, (i, j, m), angle=number(angle), k=number(strength))
    bonded = {frozenset((b.atom1.index, b.atom2.index)) for b in amber.topology.bonds()}
    torsions(root, system, improper_quadruples(prmtop), bonded, types)
    root.append(pairs)
    ET.indent(root)
    return root


def torsions(
    root: ET.Element,
    system: openmm.System,
    impropers: set[Quadruple],
    bonded: set[frozenset[int]],
    types: list[str],
) -> None:
    """All periodicities of four atoms are one entry: OpenMM takes the first that fits."""
    terms: dict[tuple[bool, Quadruple], list[tuple[int, str, str]]] = {}
    for force in system.getForces():
        if not isinstance(force, openmm.PeriodicTorsionForce):
            continue
        for n in range(force.getNumTorsions()):
            i, j, k, m, periodicity, phase, strength = force.getTorsionParameters(n)
            improper = (i, j, k, m) in impropers
            if improper:
                # OpenMM's files name the central atom first, Amber's third; or second, backwards,
                # where atom 0 would come last, which cannot have a minus
                if any(frozenset((k, end)) not in bonded for end in (i, j, m)):
                    i, j, k, m = m, k, j, i
                four = (k, i, j, m)
            else:
                four = min((i, j, k, m), (m, k, j, i))
            term = (periodicity, number(phase), number(strength))
            terms.setdefault((improper, four), []).append(term)
    # 'amber' leaves the other three in the order in which they stand here
    element = ET.SubElement(root, "PeriodicTorsionForce", ordering="amber")
    for (improper, four), several in terms.items():
        fields: dict[str, str] = {}
        for n, (periodicity, phase, strength) in enumerate(several, start=1):
            fields |= {
                f"periodicity{n}": str(periodicity), f"phase{n}": phase, f"k{n}": strength,
            }  # fmt: skip
        entry(element, "Improper" if improper else "Proper", types, four, **fields)


def improper_quadruples(prmtop: Path) -> set[Quadruple]:
    """The atoms of the improper torsions, which a prmtop marks by a minus before the fourth.

    In small rings the bonds alone would not tell them from the proper ones.
    """
    found = set()
    for section in ("DIHEDRALS_INC_HYDROGEN", "DIHEDRALS_WITHOUT_HYDROGEN"):
        values = list(integers(prmtop, section))
        for at in range(0, len(values), 5):
            i, j, k, m = values[at : at + 4]
            if m < 0:
                found.add((i // 3, j // 3, abs(k) // 3, abs(m) // 3))
    return found


def integers(prmtop: Path, section: str) -> Iterator[int]:
    """The numbers of a section of a prmtop whose format is 10I8."""
    inside = False
    for line in prmtop.read_text().splitlines():
        if line.startswith("%FLAG"):
            inside = line.split()[1] == section
        elif inside and not line.startswith("%"):
            yield from (int(line[at : at + 8]) for at in range(0, len(line.rstrip()), 8))


def entry(parent: ET.Element, tag: str, types: list[str], atoms: tuple, **fields: str) -> None:
    """A term of the force field on some atoms."""
    named = {f"type{n}": types[i] for n, i in enumerate(atoms, start=1)}
    ET.SubElement(parent, tag, named | fields)


def only(system: openmm.System, kind: type) -> openmm.Force:
    """The one force of a kind."""
    return next(force for force in system.getForces() if isinstance(force, kind))


def number(quantity: unit.Quantity) -> str:
    """In OpenMM's units, to the last digit."""
    return repr(quantity.value_in_unit_system(unit.md_unit_system))
