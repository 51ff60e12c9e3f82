"""GAFF2 as an OpenMM force field: against the prmtop it comes from, its cache, and bad input."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import openmm
import pytest
from openmm import app
from rdkit import Chem

from distill.data.molecules import Molecule, from_smiles
from distill.errors import DistillError
from distill_openmm import amber_programs, gaff
from distill_openmm.gaff import by_tleap, gaff_notes, gaff_xml, parametrize, start, template_name
from distill_openmm.residue_template import template
from distill_openmm.solvate import ligand_topology

pytestmark = pytest.mark.skipif(
    not amber_programs.shutil.which("sqm", path=amber_programs.search_path()),
    reason="AmberTools is not there",
)
ETHANOL = "CCO"
PARACETAMOL = "CC(=O)Nc1ccc(O)cc1"
LARGE = "CC(C)c1c(C(=O)Nc2ccccc2)c(-c2ccccc2)c(-c2ccc(F)cc2)n1CC[C@@H](O)C[C@@H](O)CC(=O)O"
"""76 atoms, for which AM1 takes minutes on any machine."""
KINDS = {
    openmm.HarmonicBondForce: 0,
    openmm.HarmonicAngleForce: 1,
    openmm.PeriodicTorsionForce: 2,
    openmm.NonbondedForce: 3,
}
QUICK = [PARACETAMOL, "CC(=O)[O-]", "c1c[nH]c[nH+]1", "CS(=O)(=O)N", "Ic1ccc(Br)cc1", "COP(=O)(O)O"]
MORE = [
    "C[NH3+]", "C[N+](C)(C)CCO", "c1ccncc1C(=O)NC1CC1", "FC(F)(F)c1ccc(Br)cc1Cl", "CC#CC#N",
    "C1=CC1", "c1ccc2[nH]ccc2c1", "[O-][N+](=O)c1ccccc1", "NC(=[NH2+])N", "O=C1CCC1", "C=C=C",
    "[N-]=[N+]=NC", "CP(C)C", "C[S+](C)C", "N#N",
]  # fmt: skip


def quiet(line: str) -> None:
    """Says nothing."""


def parts(system: openmm.System, positions: np.ndarray) -> list[tuple[float, np.ndarray]]:
    """Energy and forces of each kind of force."""
    for force in system.getForces():
        force.setForceGroup(KINDS.get(type(force), 4))
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    context.setPositions(0.1 * positions)
    states = [context.getState(energy=True, forces=True, groups={g}) for g in range(4)]
    return [(s.getPotentialEnergy()._value, s.getForces(asNumpy=True)._value) for s in states]


def compare(molecule: Molecule, charges: str, folder: Path) -> None:
    positions = start(molecule, None)
    prmtop = parametrize(molecule, positions, charges, 5.0, folder, quiet)
    file = folder / "x.xml"
    ET.ElementTree(template(prmtop, "LIG-x", {})).write(file)
    amber = app.AmberPrmtopFile(str(prmtop)).createSystem()
    forcefield = app.ForceField("amber14-all.xml", "amber14/tip3p.xml", str(file))
    topology = ligand_topology(molecule)
    named = {next(topology.residues()): "LIG-x"}
    ours = forcefield.createSystem(topology, rigidWater=False, residueTemplates=named)
    moved = positions + np.random.default_rng(0).normal(scale=0.1, size=positions.shape)
    for (energy, forces), (our_energy, our_forces) in zip(parts(amber, moved), parts(ours, moved)):
        assert our_energy == pytest.approx(energy, rel=1e-6, abs=1e-6)
        np.testing.assert_allclose(our_forces, forces, rtol=1e-6, atol=1e-5 * np.ptp(forces) + 1e-9)
    nonbonded = next(f for f in ours.getForces() if isinstance(f, openmm.NonbondedForce))
    sum_of_charges = sum(nonbonded.getParticleParameters(i)[0]._value for i in range(len(molecule)))
    assert sum_of_charges == pytest.approx(molecule.charge, abs=1e-5)


@pytest.mark.parametrize("smiles", QUICK)
def test_the_force_field_is_that_of_the_prmtop(smiles: str, tmp_path: Path) -> None:
    """Every kind of force, at a distorted geometry."""
    compare(from_smiles(smiles), "gasteiger", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("charges", ["am1-bcc", "gasteiger"])
@pytest.mark.parametrize("smiles", MORE)
def test_more_of_them(smiles: str, charges: str, tmp_path: Path) -> None:
    compare(from_smiles(smiles), charges, tmp_path)


def test_the_order_of_the_atoms_does_not_matter(tmp_path: Path) -> None:
    """A file made of one order serves another, and improper torsions, too."""
    molecule = from_smiles("CC(=O)N")
    xml = gaff_xml(molecule, charges="gasteiger", cache=tmp_path, say=quiet)
    positions = start(molecule, None)
    order = [int(i) for i in np.random.default_rng(1).permutation(len(molecule))]
    mol = Chem.RenumberAtoms(molecule.rdmol, order)
    other = Molecule("other", molecule.numbers[order], rdmol=mol, smiles=molecule.smiles)
    answers = []
    for one, x in ((molecule, positions), (other, positions[order])):
        topology = ligand_topology(one)
        system = app.ForceField(str(xml)).createSystem(topology)
        answers.append(parts(system, x))
    for (energy, forces), (their_energy, theirs) in zip(*answers):
        assert their_energy == pytest.approx(energy, rel=1e-9, abs=1e-9)
        np.testing.assert_allclose(theirs, forces[order], atol=1e-6)


def test_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    molecule = from_smiles(ETHANOL)
    xml = gaff_xml(molecule, cache=tmp_path, say=quiet)
    assert [file.name for file in xml.parent.iterdir() if file.suffix != ".lock"] == [xml.name]
    assert molecule.smiles == ETHANOL and "LFQSCWFLJHTTHZ" in xml.name  # ethanol's InChIKey
    before = xml.read_bytes(), xml.stat().st_mtime_ns
    monkeypatch.setattr(gaff, "run", None)  # no program is called any more
    monkeypatch.setattr(gaff, "check_installed", None)
    assert gaff_xml(from_smiles("OCC"), cache=tmp_path, say=quiet) == xml
    assert before == (xml.read_bytes(), xml.stat().st_mtime_ns)


def test_tautomers_and_methods_have_files_of_their_own(tmp_path: Path) -> None:
    """Two tautomers have one InChIKey; the two files can be loaded together."""
    files = [
        gaff_xml(from_smiles(smiles), charges=charges, cache=tmp_path, say=quiet)
        for smiles, charges in (
            ("Cc1c[nH]cn1", "gasteiger"), ("Cc1cnc[nH]1", "gasteiger"), ("Cc1c[nH]cn1", "am1-bcc"),
        )
    ]  # fmt: skip
    assert files[0].name[:27] == files[1].name[:27] == files[2].name[:27]
    assert len({template_name(file) for file in files}) == 3
    app.ForceField(*map(str, files))


def test_charges_agree_with_anothers(tmp_path: Path) -> None:
    """p-xylene's of openmmtools' data, by AM1-BCC, too."""
    spec = importlib.util.find_spec("openmmtools")
    assert spec is not None and spec.submodule_search_locations, "openmmtools is not there"
    theirs = Path(spec.submodule_search_locations[0]) / "data" / "T4-lysozyme-L99A-implicit"
    molecule = from_smiles("Cc1ccc(C)cc1")
    own = app.ForceField(str(gaff_xml(molecule, cache=tmp_path, say=quiet)))
    topology = ligand_topology(molecule)
    systems = (
        own.createSystem(topology),
        app.AmberPrmtopFile(str(theirs / "ligand.prmtop")).createSystem(),
    )
    charges = []
    for system in systems:
        force = next(f for f in system.getForces() if isinstance(f, openmm.NonbondedForce))
        charges.append(sorted(force.getParticleParameters(i)[0]._value for i in range(18)))
    np.testing.assert_allclose(charges[0], charges[1], atol=0.005)


@pytest.mark.slow
@pytest.mark.parametrize(
    "smiles", [PARACETAMOL, "CC(C)Cc1ccc(cc1)C(C)C(=O)[O-]", "C[NH+]1CCCC1c1cccnc1"]
)
def test_am1_ends_early_without_harm(
    smiles: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against antechamber's own convergence."""
    molecule = from_smiles(smiles)
    charges = []
    for tolerance in ("0.01", "0.0005"):
        monkeypatch.setattr(gaff, "AM1", gaff.AM1.replace("0.01", tolerance))
        folder = tmp_path / tolerance
        folder.mkdir()
        prmtop = parametrize(molecule, start(molecule, None), "am1-bcc", 10.0, folder, quiet)
        system = app.AmberPrmtopFile(str(prmtop)).createSystem()
        force = next(f for f in system.getForces() if isinstance(f, openmm.NonbondedForce))
        n = system.getNumParticles()
        charges.append([force.getParticleParameters(i)[0]._value for i in range(n)])
    np.testing.assert_allclose(*charges, atol=0.01)


def test_parmchk2_does_not_overlook_types(tmp_path: Path) -> None:
    """n8 is GAFF2's own type: nothing of it may come from another type's parameters."""
    molecule = from_smiles("CS(=O)(=O)N")
    parametrize(molecule, start(molecule, None), "gasteiger", 1.0, tmp_path, quiet)
    for _ in range(6):  # with '-s gaff2' every second run had them
        assert "n8 14" not in (tmp_path / "x.frcmod").read_text()
        by_tleap(molecule, tmp_path, quiet)


def test_what_lacks_parameters_is_told(tmp_path: Path) -> None:
    xml = gaff_xml(from_smiles("[H]Cl"), charges="gasteiger", cache=tmp_path, say=quiet)
    assert "no parameters for" in gaff_notes(xml)[0]
    assert not gaff_notes(
        gaff_xml(from_smiles("CO"), charges="gasteiger", cache=tmp_path, say=quiet)
    )


MOL2 = """@<TRIPOS>MOLECULE
LIG
 6 5 1
SMALL
USER

@<TRIPOS>ATOM
 1 O1 0.0 0.0 0.0 oh 1 LIG -0.60
 2 H1 0.0 0.0 1.0 ho 1 LIG 0.40
 3 C1 1.0 0.0 0.0 c3 1 LIG 0.05
 4 H2 2.0 0.0 0.0 h1 1 LIG 0.05
 5 H3 1.0 1.0 0.0 h1 1 LIG 0.05
 6 H4 1.0 0.0 1.0 h1 1 LIG 0.05
@<TRIPOS>BOND
 1 1 2 1
 2 1 3 1
 3 3 4 1
 4 3 5 1
 5 3 6 1
"""


def test_charges_of_ones_own(tmp_path: Path) -> None:
    """A .mol2 whose atoms are in another order."""
    file = tmp_path / "own.mol2"
    file.write_text(MOL2)
    molecule = from_smiles("CO")
    xml = gaff_xml(molecule, charges=file, cache=tmp_path, say=quiet)
    atoms = ET.parse(xml).findall("Residues/Residue/Atom")
    charges = [round(float(atom.attrib["charge"]), 4) for atom in atoms]
    assert charges == [0.05, -0.6, 0.05, 0.05, 0.05, 0.4]


@pytest.mark.parametrize(
    ("change", "smiles", "told"),
    [
        (("-0.60", "-0.90"), "CO", "add up to -0.3, but that of CO is"),
        (("-0.60", "minus"), "CO", "cannot be read as a .mol2"),
        (("", ""), "CCO", "holds another molecule than CCO"),
    ],
)
def test_bad_charges_of_ones_own(
    change: tuple[str, str], smiles: str, told: str, tmp_path: Path
) -> None:
    file = tmp_path / "own.mol2"
    file.write_text(MOL2.replace(*change))
    with pytest.raises(DistillError, match=told):
        gaff_xml(from_smiles(smiles), charges=file, cache=tmp_path, say=quiet)
    assert not list(tmp_path.rglob("*.xml")) and not list(tmp_path.rglob("*.work"))


def of_mol(smiles: str, **changes: object) -> Molecule:
    """Without the checks of from_smiles."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    numbers = np.array([a.GetAtomicNum() for a in mol.GetAtoms()])
    fields = {"charge": Chem.GetFormalCharge(mol), "rdmol": mol, "smiles": smiles} | changes
    return Molecule(smiles, numbers, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("molecule", "told"),
    [
        (of_mol("CB(O)O"), r"GAFF2 has no B, .*\(--prmtop"),
        (of_mol("C[SiH3]"), "GAFF2 has no Si"),
        (of_mol("[Cl-]"), "a single atom"),
        (of_mol("[CH3]", spin=2), "1 unpaired electron.*add the missing hydrogen"),
        (of_mol("CO", charge=1), "odd number of electrons"),
        (of_mol("CO", charge=2), r"make its charge \+0, not \+2"),
        (of_mol("CO.CO"), "more than one molecule"),
        (of_mol("CO", rdmol=None), "bonds of CO are not known"),
    ],
)
def test_molecules_that_gaff_does_not_know(molecule: Molecule, told: str, tmp_path: Path) -> None:
    """Told before any program runs."""
    with pytest.raises(DistillError, match=told):
        gaff_xml(molecule, cache=tmp_path, say=quiet)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("charges", "told"),
    [("resp", "take one of am1-bcc, abcg2, gasteiger, or a .mol2"), ("x.mol2", "no file x.mol2")],
)
def test_charges_that_are_none(charges: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(DistillError, match=told):
        gaff_xml(from_smiles("CO"), charges=charges, cache=tmp_path, say=quiet)


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(DistillError, match="is no folder; set DISTILL_CACHE"):
        gaff_xml(from_smiles("CO"), cache=tmp_path / "cache", say=quiet)
    with pytest.raises(DistillError, match="minutes is 0"):
        gaff_xml(from_smiles("CO"), minutes=0, cache=tmp_path, say=quiet)


def test_without_ambertools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amber_programs, "search_path", lambda: str(tmp_path))
    with pytest.raises(DistillError, match=r"pip install 'mlff-distiller\[solvent\]'"):
        gaff_xml(from_smiles("CO"), cache=tmp_path, say=quiet)
    assert not list(tmp_path.rglob("*.xml"))


def test_am1_that_takes_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(amber_programs, "EVERY", 0.5)
    with pytest.raises(DistillError, match=r"not done after 0\.03 minutes; .*--charges gasteiger"):
        gaff_xml(from_smiles(LARGE), minutes=0.03, cache=tmp_path, say=said.append)
    assert any("s (at most 0.03 min)" in line for line in said)
    assert not list(tmp_path.rglob("*.xml")) and not list(tmp_path.rglob("*.work"))
    assert not at_work(tmp_path)


def test_am1_that_does_not_converge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaff, "AM1", gaff.AM1 + " itrmax=2,")
    with pytest.raises(DistillError, match=r"did not converge; give another geometry.*gasteiger"):
        gaff_xml(from_smiles(ETHANOL), cache=tmp_path, say=quiet)
    assert not list(tmp_path.rglob("*.xml")) and not list(tmp_path.rglob("*.work"))


def at_work(folder: Path) -> list[str]:
    """Processes whose working folder is below ``folder``."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder) in os.readlink(process / "cwd"):
                found.append((process / "comm").read_text().strip())
        except OSError:
            pass
    return found


SCRIPT = """
import sys
from pathlib import Path
from distill.data.molecules import from_smiles
from distill_openmm.gaff import gaff_xml
print(gaff_xml(from_smiles(sys.argv[1]), cache=Path(sys.argv[2]), say=print))
"""


def started(smiles: str, cache: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", SCRIPT, smiles, str(cache)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=cache.parent
    )


def wait_for_sqm(cache: Path) -> None:
    until = time.monotonic() + 600
    while "sqm" not in at_work(cache):
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.slow
def test_ctrl_c_ends_the_programs(tmp_path: Path) -> None:
    process = started(PARACETAMOL, tmp_path)
    wait_for_sqm(tmp_path)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=600)
    assert "KeyboardInterrupt" in output
    assert not at_work(tmp_path)
    left = [path.suffix for path in (tmp_path / "gaff2").iterdir()]
    assert left == [".lock"]


@pytest.mark.slow
def test_after_a_kill_the_same_again(tmp_path: Path) -> None:
    process = started(PARACETAMOL, tmp_path)
    wait_for_sqm(tmp_path)
    process.kill()
    process.communicate(timeout=600)
    xml = gaff_xml(from_smiles(PARACETAMOL), charges="am1-bcc", cache=tmp_path, say=quiet)
    assert sorted(path.suffix for path in xml.parent.iterdir()) == [".lock", ".xml"]


@pytest.mark.slow
def test_two_at_once(tmp_path: Path) -> None:
    """One works, the other waits and takes what it made."""
    both = [started(PARACETAMOL, tmp_path) for _ in range(2)]
    outputs = [process.communicate(timeout=600)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert outputs[0].splitlines()[-1] == outputs[1].splitlines()[-1]
    assert sum("waiting for it" in output for output in outputs) <= 1
