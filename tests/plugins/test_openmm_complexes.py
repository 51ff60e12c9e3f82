"""A ligand in its protein, and systems that others made: openmmtools' data, and bad input."""

import importlib.util
from collections import Counter
from pathlib import Path

import numpy as np
import openmm
import pytest
from openmm import app, unit
from rdkit import Chem

from distill.data.molecules import from_smiles
from distill.errors import DistillError
from distill_openmm import amber_programs
from distill_openmm.complexes import complex_in_water
from distill_openmm.prepared import Prepared
from distill_openmm.ready_made import from_amber, from_force_field, from_system
from distill_openmm.selection import select

DIPEPTIDE = Path(__file__).parents[2] / "examples" / "alanine_dipeptide.pdb"
SPEC = importlib.util.find_spec("openmmtools")
assert SPEC is not None and SPEC.submodule_search_locations, "openmmtools is not there"
DATA = Path(SPEC.submodule_search_locations[0]) / "data"
LYSOZYME = DATA / "T4-lysozyme-L99A-implicit"
CB7 = DATA / "cb7-b2"
VIOLOGEN = DATA / "cb7-viologen" / "leap"

needs_ambertools = pytest.mark.skipif(
    not amber_programs.shutil.which("sqm", path=amber_programs.search_path()),
    reason="AmberTools is not there",
)
# methanol beside the dipeptide: O, C and hydrogens, of which a test may take some
METHANOL = np.array(
    [
        [4.90, 3.40, 0.70], [6.20, 3.80, 0.30], [4.35, 4.10, 1.05], [6.75, 3.00, -0.20],
        [6.12, 4.65, -0.38], [6.76, 4.12, 1.18],
    ]
)  # fmt: skip
ELEMENTS = "OCHHHH"


def quiet(line: str) -> None:
    """Says nothing."""


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def pdb_with(
    folder: Path,
    atoms: str = ELEMENTS,
    name: str = "MOH",
    charge: str = "",
    change: tuple[str, str] = ("", ""),
    without: str = "none",
    copies: int = 1,
    more: str = "",
) -> Path:
    """The dipeptide and methanol (some of its atoms), as a PDB file."""
    lines = DIPEPTIDE.read_text().splitlines()
    lines = [line for line in lines if line[:4] in ("ATOM", "HETA") and without not in line]
    for copy in range(copies):
        for k, symbol in enumerate(atoms):
            x, y, z = METHANOL[k] + 4.0 * copy
            lines.append(
                f"HETATM{30 + k:5d} {symbol + str(k):>4} {name} B{copy + 7:4d}    "
                f"{x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00          {symbol:>2}"
                f"{charge if not k else ''}"
            )
    file = folder / "complex.pdb"
    file.write_text("\n".join([*lines, *more.splitlines(), "END"]).replace(*change) + "\n")
    return file


def energy(prepared: Prepared) -> float:
    context = openmm.Context(prepared.system, openmm.VerletIntegrator(0.001))
    context.setPositions(0.1 * prepared.positions)
    return context.getState(energy=True).getPotentialEnergy()._value


def symbols(prepared: Prepared) -> str:
    atoms = list(prepared.topology.atoms())
    return "".join(atoms[i].element.symbol for i in prepared.atoms)


# ---------------------------------------------------------------------------- complexes


@needs_ambertools
def test_a_smiles_finds_its_residue(tmp_path: Path, cache: Path) -> None:
    """With hydrogens in the PDB file all coordinates are its."""
    pdb = pdb_with(tmp_path)
    made = complex_in_water(pdb, "CO", solvent=None, charges="gasteiger", cache=cache, say=quiet)
    assert made.charge == 0 and made.box is None and made.notes == ()
    assert made.topology.getNumAtoms() == 22 + 6
    assert [r.name for r in made.topology.residues()] == ["ACE", "ALA", "NME", "LIG"]
    assert symbols(made) == "COHHHH"
    ours = made.positions[made.atoms]
    for x, symbol in zip(ours, symbols(made)):
        distances = np.linalg.norm(METHANOL - x, axis=1)
        assert distances.min() < 1e-3 and ELEMENTS[int(distances.argmin())] == symbol
    # the hydroxyl's hydrogen is the oxygen's
    assert np.linalg.norm(ours[1] - METHANOL[0]) < 1e-3
    bonds = {frozenset((b.atom1.index - 22, b.atom2.index - 22)) for b in made.topology.bonds()}
    hydroxyl = next(k for k in range(2, 6) if frozenset((1, k)) in bonds)
    assert np.linalg.norm(ours[hydroxyl] - METHANOL[2]) < 1e-3


@needs_ambertools
def test_hydrogens_are_added(tmp_path: Path, cache: Path) -> None:
    """To the ligand and to the protein; at bond lengths."""
    pdb = pdb_with(tmp_path, "OC")
    lines = [line for line in pdb.read_text().splitlines() if line[76:78].strip() != "H"]
    pdb.write_text("\n".join(lines) + "\n")
    options = {"solvent": None, "charges": "gasteiger", "cache": cache, "say": quiet}
    made = complex_in_water(pdb, "CO", **options)
    assert made.topology.getNumAtoms() == 22 + 6
    assert "4 were added" in made.notes[0]
    for bond in made.topology.bonds():
        length = np.linalg.norm(made.positions[bond.atom1.index] - made.positions[bond.atom2.index])
        assert 0.9 < length < 1.7
    again = complex_in_water(pdb, "CO", **options)
    assert np.array_equal(again.positions, made.positions)


@needs_ambertools
def test_coordinates_of_an_sdf(tmp_path: Path, cache: Path) -> None:
    """What the PDB has there goes; in water."""
    mol = Chem.AddHs(Chem.MolFromSmiles("OC"))
    conformer = Chem.Conformer(6)
    order = [0, 1, 2, 3, 4, 5]
    assert [a.GetSymbol() for a in mol.GetAtoms()] == list(ELEMENTS)
    hydroxyl = next(
        n.GetIdx() for n in mol.GetAtomWithIdx(0).GetNeighbors() if n.GetAtomicNum() == 1
    )
    order[2], order[hydroxyl] = order[hydroxyl], order[2]
    for i in range(6):
        conformer.SetAtomPosition(i, Chem.rdGeometry.Point3D(*METHANOL[order[i]]))
    mol.AddConformer(conformer)
    Chem.MolToMolFile(mol, str(tmp_path / "x.sdf"))
    pdb = pdb_with(tmp_path, "OC", more="HETATM   60  O   HOH C   1      14.000   3.000   3.000")
    made = complex_in_water(
        pdb,
        tmp_path / "x.sdf",
        charges="gasteiger",
        padding=7.0,
        cutoff=6.0,
        cache=cache,
        say=quiet,
    )
    kinds = Counter(r.name for r in made.topology.residues())
    assert kinds["LIG"] == 1 and "MOH" not in kinds and kinds["HOH"] > 100
    assert "MOH B:7 of" in made.notes[0]
    np.testing.assert_allclose(made.positions[made.atoms], METHANOL[order], atol=1e-3)
    # the crystal's water stays, with hydrogens
    oxygens = [a.index for a in made.topology.atoms() if a.residue.name == "HOH" and a.name == "O"]
    assert min(np.linalg.norm(made.positions[oxygens] - [14.0, 3.0, 3.0], axis=1)) < 1e-3
    assert np.isfinite(energy(made))


@needs_ambertools
def test_waters_in_the_ligand_go(tmp_path: Path, cache: Path) -> None:
    pdb = pdb_with(tmp_path, "OC", more="HETATM   60  O   HOH C   1       6.500   4.500   1.300")
    made = complex_in_water(pdb, "CO", solvent="obc2", charges="gasteiger", cache=cache, say=quiet)
    assert "1 water(s) of the PDB file stood in the ligand" in " ".join(made.notes)
    assert "HOH" not in {r.name for r in made.topology.residues()}


@needs_ambertools
def test_stereochemistry_is_that_of_the_coordinates(tmp_path: Path, cache: Path) -> None:
    """The other isomer than the SMILES says is told."""
    mol = Chem.AddHs(Chem.MolFromSmiles("C[C@H](O)F"))
    from rdkit.Chem import AllChem

    AllChem.EmbedMolecule(mol, randomSeed=1)
    lines = DIPEPTIDE.read_text().splitlines()
    lines = [line for line in lines if line.startswith(("ATOM", "HET"))]
    for atom, x in zip(mol.GetAtoms(), mol.GetConformer().GetPositions() + [6.0, 4.0, 4.0]):
        name, k = atom.GetSymbol(), atom.GetIdx()
        if name != "H":
            lines.append(
                f"HETATM{30 + k:5d} {name + str(k):>4} FOH B   7    {x[0]:8.3f}{x[1]:8.3f}"
                f"{x[2]:8.3f}  1.00  0.00          {name:>2}"
            )
    pdb = tmp_path / "x.pdb"
    pdb.write_text("\n".join([*lines, "END"]))
    options = {"solvent": None, "charges": "gasteiger", "cache": cache, "say": quiet}
    same = complex_in_water(pdb, "C[C@H](O)F", **options)
    assert not any("stereoisomer" in note for note in same.notes)
    other = complex_in_water(pdb, "C[C@@H](O)F", **options)
    assert any("another stereoisomer" in note for note in other.notes)


@needs_ambertools
@pytest.mark.parametrize(
    ("made", "ligand", "residue", "told"),
    [
        ({}, "CO", "MOL", "no residue MOL; beside water, ions and amino acids there are MOH"),
        ({}, "CO", "B:9", "no residue B:9"),
        ({}, "CCO", None, "no residue of .* has its atoms .*are: MOH"),
        ({}, "CCO", "MOH", "2 heavy atoms, and they .* are not those of CCO"),
        ({}, "C[O-]", None, r"MOH B:7 has 4 hydrogens, but C\[O-\] 3.*charge and tautomer"),
        ({"charge": "1-"}, "CO", None, r"charge -1 in the PDB file, but CO \+0"),
        ({"copies": 2}, "CO", None, r"2 residues like CO \(MOH B:7, MOH B:8\); name one"),
        ({"copies": 2}, "CO", "MOH", "There are 2 residues MOH .*such as 'B:7'"),
        ({"without": " CB  ALA"}, "CO", None, "ALA A:2 lacks CB.*PDBFixer"),
        ({"change": ("ALA A", "SEP A")}, "CO", None, "Amber14 does not know SEP A:2"),
    ],
)
def test_bad_complexes(
    made: dict, ligand: str, residue: str | None, told: str, tmp_path: Path, cache: Path
) -> None:
    pdb = pdb_with(tmp_path, **made)
    with pytest.raises(DistillError, match=told):
        complex_in_water(
            pdb, ligand, residue, charges="gasteiger", solvent=None, cache=cache, say=quiet
        )


@needs_ambertools
@pytest.mark.parametrize(
    ("shift", "told"),
    [
        ([-4.9, -2.8, 1.8], "clashes with the protein: its atom 1 is .* Å from CB of ALA A:2"),
        ([0.0, 0.0, 40.0], "Å away from the protein"),
    ],
)
def test_poses_that_cannot_be(shift: list[float], told: str, tmp_path: Path, cache: Path) -> None:
    molecule = from_smiles("CO")
    x = METHANOL[[1, 0, 3, 4, 5, 2]] + np.array(shift)
    mol = Chem.Mol(molecule.rdmol)
    conformer = Chem.Conformer(6)
    for i in range(6):
        conformer.SetAtomPosition(i, Chem.rdGeometry.Point3D(*x[i]))
    mol.AddConformer(conformer)
    with pytest.raises(DistillError, match=told):
        complex_in_water(DIPEPTIDE, mol, charges="gasteiger", cache=cache, say=quiet)


def test_no_pdb(tmp_path: Path) -> None:
    (tmp_path / "x.pdb").write_text("nothing\n")
    for file in ("none.pdb", "x.pdb"):
        with pytest.raises(DistillError, match="no file|no atoms|cannot be read"):
            complex_in_water(tmp_path / file, "CO", say=quiet)


@pytest.mark.slow
@needs_ambertools
def test_lysozyme_in_water(cache: Path) -> None:
    """p-xylene by its own coordinates, the protein as Amber made it."""
    mol2 = LYSOZYME / "ligand.tripos.mol2"
    ligand = Chem.MolFromMol2File(str(mol2), removeHs=False)
    made = complex_in_water(
        LYSOZYME / "receptor.pdb", mol2, charges="gasteiger", padding=4.0, cache=cache, say=quiet
    )
    kinds = Counter(r.name for r in made.topology.residues())
    assert made.topology.getNumAtoms() == 2603 + 18 + 3 * kinds["HOH"] + kinds["CL"] + kinds["NA"]
    # 8 positive charges, as many chlorides
    assert kinds["CL"] == 8 and kinds["NA"] == 0
    force = next(f for f in made.system.getForces() if isinstance(f, openmm.NonbondedForce))
    charges = [
        force.getParticleParameters(i)[0]._value for i in range(made.system.getNumParticles())
    ]
    assert sum(charges) == pytest.approx(0.0, abs=1e-3)
    np.testing.assert_allclose(
        made.positions[made.atoms], ligand.GetConformer().GetPositions(), atol=1e-3
    )


# ---------------------------------------------------------------------------- of others


def test_amber_without_a_box() -> None:
    made = from_amber(LYSOZYME / "complex.prmtop", LYSOZYME / "complex.crd", "TMP")
    assert made.atoms == list(range(2603, 2621)) and made.charge == 0 and made.box is None
    assert not made.system.usesPeriodicBoundaryConditions()
    solvated = from_amber(
        LYSOZYME / "complex.prmtop", LYSOZYME / "complex.crd", "TMP", solvent="obc2"
    )
    assert energy(solvated) < energy(made) - 1000  # a charged protein's


@pytest.mark.parametrize(
    ("folder", "ml", "atoms"), [(CB7, "B2", 30), (VIOLOGEN, "residue number 2", 58)]
)
def test_amber_in_water(folder: Path, ml: str, atoms: int) -> None:
    """The energy is what OpenMM makes of the same files; the box is the inpcrd's."""
    files = folder / "complex-explicit.prmtop", folder / "complex-explicit.inpcrd"
    made = from_amber(*files, ml)
    assert len(made.atoms) == atoms
    coordinates = app.AmberInpcrdFile(str(files[1]))
    theirs = app.AmberPrmtopFile(str(files[0]), periodicBoxVectors=coordinates.boxVectors)
    system = theirs.createSystem(
        nonbondedMethod=app.PME, nonbondedCutoff=0.9, switchDistance=0.8, constraints=app.HBonds
    )
    other = Prepared(theirs.topology, system, made.positions, made.atoms, made.box)
    assert energy(made) == pytest.approx(energy(other), rel=1e-5)
    assert -46 < energy(made) / len(list(made.topology.residues())) < -20  # kJ/mol, as TIP3P's
    box = coordinates.boxVectors.value_in_unit(unit.angstrom)
    np.testing.assert_allclose(made.box, [[*row] for row in box])
    assert made.charge == (0 if folder == CB7 else 2)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"ml": "LIG"}, r"no residue LIG; beside water, ions and amino acids there are .*B2"),
        ({"ml": "HOH"}, r"There are 1445 residues HOH \(.*, \.\.\.\); name one by"),
        ({"ml": "atoms 0-99999"}, "run from 0 to 99999, but there are atoms 0 to"),
        ({"ml": []}, "no atom for the student.*choose at least one"),
        ({"ml": "0-3,3"}, "listed twice"),
        ({"ml": "3-0,1"}, "smaller number first"),
        ({"cutoff": 25.0}, "wide, too little for a cutoff of 25 Å, which needs 50.0 Å"),
        ({"solvent": "obc2"}, "has a box of its own"),
        ({"inpcrd": CB7 / "complex-vacuum.inpcrd"}, r"has 4,491 atoms, but .* 156; give the two"),
        ({"inpcrd": CB7 / "none"}, "There is no file"),
        ({"inpcrd": CB7 / "setup.sh"}, "cannot be read as Amber coordinates"),
        ({"prmtop": CB7 / "b2_tripos.mol2"}, "cannot be read as an Amber prmtop"),
        ({"molecule": from_smiles("CCO")}, "30 atoms are not CCO"),
    ],
)
def test_bad_amber_files(options: dict, told: str) -> None:
    given = {
        "prmtop": CB7 / "complex-explicit.prmtop",
        "inpcrd": CB7 / "complex-explicit.inpcrd",
        "ml": "B2",
    } | options
    with pytest.raises(DistillError, match=told):
        from_amber(**given)


def test_the_molecule_of_a_prmtop() -> None:
    """p-xylene, whatever the order of the atoms; its isomer is another."""
    files = LYSOZYME / "complex.prmtop", LYSOZYME / "complex.crd", "TMP"
    assert from_amber(*files, molecule=from_smiles("Cc1ccc(C)cc1")).charge == 0
    with pytest.raises(DistillError, match="elements or bonds differ"):
        from_amber(*files, molecule=from_smiles("Cc1cccc(C)c1"))


def test_a_system_in_xml(tmp_path: Path) -> None:
    pdb = app.PDBFile(str(DIPEPTIDE))
    system = app.ForceField("amber14-all.xml").createSystem(
        pdb.topology, hydrogenMass=3.0, constraints=app.HBonds
    )
    xml = tmp_path / "system.xml"
    xml.write_text(openmm.XmlSerializer.serialize(system))
    made = from_system(xml, DIPEPTIDE, "ALA")
    assert made.atoms == list(range(6, 16)) and made.charge == 0
    other = from_force_field(DIPEPTIDE, "amber14-all.xml", [0, 1])
    assert energy(made) == pytest.approx(energy(other), rel=1e-6)
    assert other.atoms == [0, 1] and other.charge is None or other.charge == 0
    xml.write_text(openmm.XmlSerializer.serialize(openmm.VerletIntegrator(0.001)))
    with pytest.raises(DistillError, match="holds no System but a VerletIntegrator"):
        from_system(xml, DIPEPTIDE, "ALA")
    xml.write_text("<System>")
    with pytest.raises(DistillError, match="cannot be read as XML"):
        from_system(xml, DIPEPTIDE, "ALA")
    system.addParticle(1.0)
    xml.write_text(openmm.XmlSerializer.serialize(system))
    with pytest.raises(DistillError, match=r"has 22 atoms, but .* 23"):
        from_system(xml, DIPEPTIDE, "ALA")


def test_a_pdb_in_another_order_than_the_xml(tmp_path: Path) -> None:
    pdb = app.PDBFile(str(DIPEPTIDE))
    system = app.ForceField("amber14-all.xml").createSystem(pdb.topology)
    xml = tmp_path / "system.xml"
    xml.write_text(openmm.XmlSerializer.serialize(system))
    lines = DIPEPTIDE.read_text().splitlines(keepends=True)
    lines[:2] = lines[1::-1]
    (tmp_path / "x.pdb").write_text("".join(lines))
    with pytest.raises(DistillError, match="Atom 0 is H in .* but weighs 12.01 Da"):
        from_system(xml, tmp_path / "x.pdb", "ALA")


def test_force_field_files_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(DistillError, match="do not fit .*No template found"):
        from_force_field(DIPEPTIDE, ["amber14/tip3p.xml"], "ALA")
    with pytest.raises(DistillError, match="force-field file cannot be read"):
        from_force_field(DIPEPTIDE, ["none.xml"], "ALA")
    (tmp_path / "x.xml").write_text("<ForceField>")
    with pytest.raises(DistillError, match="force-field file cannot be read"):
        from_force_field(DIPEPTIDE, tmp_path / "x.xml", "ALA")


@pytest.mark.parametrize(
    ("ml", "atoms"),
    [
        ("ALA", range(6, 16)),
        ("residue ALA", range(6, 16)),
        ("residue name ala", range(6, 16)),
        ("2", range(6, 16)),
        ("A:2", range(6, 16)),
        ("residue number 2", range(6, 16)),
        ("ALA,NME", range(6, 22)),
        ("atoms 3", [3]),
        ("0-2, 7", [0, 1, 2, 7]),
        ([7, 0], [0, 7]),
    ],
)
def test_selections(ml: object, atoms: list[int]) -> None:
    topology = app.PDBFile(str(DIPEPTIDE)).topology
    assert select(topology, ml) == list(atoms)  # type: ignore[arg-type]


def test_a_chain_without_a_name(tmp_path: Path) -> None:
    """Its column is blank in the PDB file: ':7' is residue 7 of it alone, '7' where no other chain
    has one, and sentences write it so."""
    blank = pdb_with(tmp_path, change=("MOH B", "MOH  "))
    topology = app.PDBFile(str(blank)).topology
    methanol = list(range(22, 28))
    for ml in ("7", ":7", " :7", "residue :7", "MOH"):
        assert select(topology, ml) == methanol
    assert select(topology, "A:2,:7") == [*range(6, 16), *methanol]
    with pytest.raises(DistillError, match="no residue A:7, but MOH :7; give ':7'"):
        select(topology, "A:7")
    with pytest.raises(DistillError, match="no residue :2, but ALA A:2; give 'A:2'"):
        select(topology, ":2")
    # the same number twice
    text = blank.read_text().replace("MOH     7", "MOH     2")
    blank.write_text(text)
    topology = app.PDBFile(str(blank)).topology
    assert select(topology, ":2") == methanol
    with pytest.raises(DistillError, match="2 residues 2 .ALA A:2, MOH :2.; name one .* 'A:2'"):
        select(topology, "2")
    blank.write_text(text.replace(" A  ", "    "))
    topology = app.PDBFile(str(blank)).topology
    with pytest.raises(DistillError, match=r"2 residues :2 .* 'atoms 6-15' for the first"):
        select(topology, ":2")
