"""PDB files: the elements of atoms whose columns 77-78 are blank, and the models' coordinates."""

from __future__ import annotations

from ase import Atoms
from ase.data import atomic_numbers
from rdkit import Chem

from distill.data.xyz import ISOTOPES, Frame, elements_of
from distill.elements import ELEMENTS, symbols
from distill.errors import DistillError

ATOM = ("ATOM  ", "HETATM")


def read_models(text: str, where: str) -> tuple[list[Frame], int | None, str]:
    """The atoms of each model; their charge, if columns 79-80 tell; what was guessed."""
    from distill.data.molecules import quietly

    text, guessed = with_elements(text, where)
    text = as_models(text, where)
    mol = quietly(
        Chem.MolFromPDBBlock, text, sanitize=False, removeHs=False, proximityBonding=False
    )
    if mol is None or not mol.GetNumAtoms():
        raise DistillError(
            f"{where} is not a readable PDB file: it has no ATOM or HETATM line that RDKit takes."
        )
    numbers = [atom.GetAtomicNum() for atom in mol.GetAtoms()]
    if 1 not in numbers:
        raise DistillError(f"{where} has no hydrogen atoms; add them first (PDBFixer, Open Babel).")
    charges = [line[78:80].strip() for line in text.splitlines() if line.startswith(ATOM)]
    total = sum(atom.GetFormalCharge() for atom in mol.GetAtoms()) if any(charges) else None
    isotopes = {a.GetIdx(): a.GetIsotope() for a in mol.GetAtoms() if a.GetIsotope()}
    placed = (Atoms(numbers, conformer.GetPositions()) for conformer in mol.GetConformers())
    return [Frame(atoms, "", isotopes=isotopes) for atoms in placed], total, guessed


def as_models(text: str, where: str) -> str:
    """The text with each frame in a MODEL of its own; DistillError when they are not one molecule.

    RDKit reads on after END no more, where VMD puts it between frames, and takes the atoms of all
    models for those of the first.
    """
    blocks: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.startswith(("MODEL", "END")):
            blocks.append([])
        elif line.startswith((*ATOM, "TER")):
            blocks[-1].append(line)
    blocks = [block for block in blocks if any(line.startswith(ATOM) for line in block)]
    if len(blocks) < 2:
        return text
    elements = [[x[76:78].strip().upper() for x in b if x.startswith(ATOM)] for b in blocks]
    for k, others in enumerate(elements[1:], start=2):
        if others != elements[0]:
            raise DistillError(
                f"{where}: model {k} has other atoms than model 1, or in another order; models "
                "are geometries of one molecule, give each molecule a file of its own, or an SDF."
            )
    return "".join(
        "\n".join([f"MODEL     {k:4d}", *block, "ENDMDL\n"])
        for k, block in enumerate(blocks, start=1)
    )


def with_elements(text: str, where: str) -> tuple[str, str]:
    """The text with an element in columns 77-78 of every atom, and a note if any was missing."""
    lines = text.splitlines()
    atoms = [k for k, line in enumerate(lines) if line.startswith(ATOM)]
    told = atomic_numbers.keys() | ISOTOPES.keys()
    blank = [k for k in atoms if lines[k][76:78].strip().capitalize() not in told]
    if not blank:
        return text, ""
    residues: dict[str, list[int]] = {}
    for k in blank:
        residues.setdefault(lines[k][17:27], []).append(k)
    found: set[int] = set()
    for members in residues.values():
        labels = [lines[k][12:16].strip().lstrip("0123456789") for k in members]
        if len(members) == 1 and lines[members[0]][17:20].strip() == labels[0]:
            numbers = [atomic_numbers.get(labels[0].capitalize(), 0)]  # an ion: CA of residue CA
        else:
            try:
                numbers = [number for number, _ in elements_of(labels)]
            except ValueError as error:
                raise DistillError(f"{where}: {error}; {_columns(lines, blank)}") from error
        for k, number in zip(members, numbers, strict=True):
            if number not in ELEMENTS:
                raise DistillError(f"{where}: {_columns(lines, blank)}")
            symbol = symbols({number})
            lines[k] = f"{lines[k][:76]:<76}{symbol.upper():>2}{lines[k][78:]}"
            found.add(number)
    note = (
        f"{where} has {len(blank)} atoms without an element in columns 77-78; from their names "
        f"they were taken for {symbols(found)}."
    )
    return "\n".join(lines) + "\n", note


def _columns(lines: list[str], blank: list[int]) -> str:
    line = lines[blank[0]]
    return (
        f"columns 77-78 (the element) are blank in {len(blank)} of its atoms, as atom "
        f"{line[12:16].strip()} of line {blank[0] + 1}, and the names do not tell all of them; "
        "write the elements there."
    )
