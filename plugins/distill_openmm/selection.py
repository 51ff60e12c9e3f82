"""Which atoms of a topology are the student's, in a user's words."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from openmm import app

from distill.engine_arguments import check_indices
from distill.errors import DistillError

WATER = ("HOH", "WAT", "H2O", "TIP3", "TIP", "SOL", "SPC", "OPC", "DOD")
AMINO_ACIDS = (
    "ALA", "ARG", "ASN", "ASP", "CYS", "GLN", "GLU", "GLY", "HIS", "ILE", "LEU", "LYS", "MET",
    "PHE", "PRO", "SER", "THR", "TRP", "TYR", "VAL", "HID", "HIE", "HIP", "CYX", "CYM", "ASH",
    "GLH", "LYN", "ACE", "NME", "NHE", "NH2",
)  # fmt: skip
NUCLEOTIDES = tuple(
    f"{d}{base}{end}" for d in ("", "D") for base in "ACGUT" for end in ("", "3", "5")
)


def select(topology: app.Topology, ml: str | Iterable[int]) -> list[int]:
    """Indices of the atoms that ``ml`` names, in the topology's order.

    ml: a residue's name ("LIG", "residue LIG", "residue name LIG"), its number as in the PDB file
    ("12", "A:12", ":12" of a chain without a name, "residue number 12"), several of these with
    commas, or indices of atoms ("atoms 0-11,15", or a list), counted from 0. Raises DistillError
    where there is no such residue, with the names of those that there are, and where there are
    several.
    """
    if not isinstance(ml, str):
        return checked(topology, check_indices("ml", ml))
    words = " ".join(ml.split())
    atoms = re.fullmatch(r"(?:(?:atoms?|index|indices) )?([\d ,-]+)", words, re.IGNORECASE)
    if atoms and (not words[0].isdigit() or "-" in words or "," in words):
        return checked(topology, numbers(atoms[1], ml))
    rest = re.sub(r"^(residues?|resname|resid|resi) ", "", words, flags=re.IGNORECASE)
    rest = re.sub(r"^(name|names|number|numbers|id) ", "", rest, flags=re.IGNORECASE)
    if not rest:
        raise DistillError(f"The student's atoms ('{ml}') are none; {hint(topology)}.")
    chosen: list[int] = []
    for word in re.split(r"[ ,]+", rest):
        chosen += [atom.index for atom in one_residue(topology, word).atoms()]
    return checked(topology, chosen)


def one_residue(topology: app.Topology, word: str) -> app.topology.Residue:
    """The residue of a name or a number, ":12" being one of a chain without a name; DistillError
    for none and for several."""
    chain, colon, number = word.strip().rpartition(":")
    residues = list(topology.residues())
    of_number = [r for r in residues if r.id == number]
    found = [r for r in residues if r.name == word]
    if not found:
        # OpenMM has the column of a PDB file as it is, a blank
        found = [r for r in of_number if not colon or chain.strip() == r.chain.id.strip()]
    if not found:
        found = [r for r in residues if r.name.lower() == word.lower()]
    if not found and of_number:
        raise DistillError(
            f"There is no residue {word}, but {some(of_number)}; give '{place(of_number[0])}'."
        )
    if not found:
        raise DistillError(f"There is no residue {word}; {hint(topology)}.")
    if len(found) > 1:
        one = f"chain and number, such as '{place(found[0])}'"
        if len({place(r) for r in found}) < len(found):
            atoms = [a.index for a in found[0].atoms()]
            one = f"atoms, 'atoms {atoms[0]}-{atoms[-1]}' for the first"
        raise DistillError(
            f"There are {len(found)} residues {word} ({some(found)}); name one by its {one}."
        )
    return found[0]


def place(residue: app.topology.Residue) -> str:
    """Chain and number as in the PDB file, A:12; :12 where the chain has no name."""
    return f"{residue.chain.id.strip()}:{residue.id}"


def called(residue: app.topology.Residue) -> str:
    """A residue for a sentence: LIG A:12."""
    return f"{residue.name} {place(residue)}"


def some(residues: Sequence[app.topology.Residue]) -> str:
    """The first few of them for a sentence."""
    return ", ".join(map(called, residues[:4])) + ", ..." * (len(residues) > 4)


def hint(topology: app.Topology) -> str:
    """Which residues a user may have meant: no water, no ions, no amino acids."""
    others = uncommon(topology)
    if not others:
        return "all residues are water, ions, amino acids and nucleotides: name one by its number"
    counts = Counter(r.name for r in others)
    names = [f"{name} ({n} times)" if n > 1 else name for name, n in counts.most_common(8)]
    return f"beside water, ions and amino acids there are {', '.join(names)}"


def uncommon(topology: app.Topology) -> list[app.topology.Residue]:
    """Residues that may be ligands."""
    return [
        r
        for r in topology.residues()
        if r.name not in WATER
        and bare(r.name) not in AMINO_ACIDS
        and r.name not in NUCLEOTIDES
        and len(list(r.atoms())) > 1
    ]


def bare(name: str) -> str:
    """Amber's name of an amino acid without its N or C of the chain's ends."""
    return name[1:] if len(name) == 4 and name[0] in "NC" else name


def numbers(text: str, ml: str) -> list[int]:
    """0-11,15: twelve atoms and one."""
    found: list[int] = []
    for part in filter(None, re.split(r"[ ,]+", text)):
        ends = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if ends is None:
            raise DistillError(f"'{part}' in '{ml}' are no atoms; write them as 0-11,15.")
        first = int(ends[1])
        last = int(ends[2] or first)
        if last < first or last - first > 1_000_000:
            raise DistillError(f"'{part}' in '{ml}' are no atoms; write the smaller number first.")
        found += range(first, last + 1)
    return found


def checked(topology: app.Topology, atoms: Sequence[int]) -> list[int]:
    """Sorted, once they have been looked at."""
    check_atoms(atoms, topology.getNumAtoms())
    return sorted(atoms)


def check_atoms(atoms: Sequence[int], count: int) -> None:
    """DistillError for none, for those that are not there among ``count``, and for one twice."""
    if not atoms:
        raise DistillError("There is no atom for the student to act on; choose at least one.")
    if min(atoms) < 0 or max(atoms) >= count:
        raise DistillError(
            f"The student's atoms run from {min(atoms)} to {max(atoms)}, but there are atoms 0 to "
            f"{count - 1}; choose among these."
        )
    twice = [i for i, times in Counter(atoms).items() if times > 1]
    if twice:
        raise DistillError(
            f"Atom {twice[0]} is listed twice among the student's; list each atom once."
        )
