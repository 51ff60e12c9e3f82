"""Which atom is which, of two molecules known by their elements and bonds alone."""

from collections.abc import Iterable, Sequence

from rdkit import Chem

MOST_MATCHES = 1000


def skeleton(numbers: Iterable[int], bonds: Iterable[tuple[int, int]]) -> Chem.Mol:
    """A Mol of these atoms whose bonds all are single, without charges: not for chemistry."""
    mol = Chem.RWMol()
    for z in numbers:
        atom = Chem.Atom(int(z))
        atom.SetNoImplicit(True)
        mol.AddAtom(atom)
    for i, j in bonds:
        mol.AddBond(int(i), int(j), Chem.BondType.SINGLE)
    return mol.GetMol()


def skeleton_of(mol: Chem.Mol, heavy: bool = False) -> tuple[Chem.Mol, list[int]]:
    """Of an RDKit Mol, with all atoms or the heavy ones alone, and these atoms' indices in it."""
    kept = [a.GetIdx() for a in mol.GetAtoms() if not heavy or a.GetAtomicNum() != 1]
    place = {old: new for new, old in enumerate(kept)}
    pairs = [(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in mol.GetBonds()]
    bonds = [(place[i], place[j]) for i, j in pairs if i in place and j in place]
    return skeleton([mol.GetAtomWithIdx(i).GetAtomicNum() for i in kept], bonds), kept


def mappings(one: Chem.Mol, other: Chem.Mol) -> Sequence[tuple[int, ...]]:
    """All ways (some, of very many) to lay one skeleton upon the other: m[i] of the other is atom
    i of the one; none where they differ. The order of the atoms comes first where it is a way."""
    if one.GetNumAtoms() != other.GetNumAtoms() or one.GetNumBonds() != other.GetNumBonds():
        return ()
    found = other.GetSubstructMatches(one, uniquify=False, maxMatches=MOST_MATCHES)
    same = tuple(range(one.GetNumAtoms()))
    in_order = _is_mapping(one, other)
    return ((same, *(m for m in found if m != same))) if in_order else found


def _is_mapping(one: Chem.Mol, other: Chem.Mol) -> bool:
    elements = [[a.GetAtomicNum() for a in mol.GetAtoms()] for mol in (one, other)]
    bonds = [
        {frozenset((b.GetBeginAtomIdx(), b.GetEndAtomIdx())) for b in mol.GetBonds()}
        for mol in (one, other)
    ]
    return elements[0] == elements[1] and bonds[0] == bonds[1]
