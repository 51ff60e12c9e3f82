"""Sets of molecules by name: ``drugs:train:800``, ``fragments:test``, ...

Every set is split by scaffold (see ``split``). ``python -m distill.data.sets drugs:test`` prints
one as a .smi file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

from rdkit import Chem

from distill.data.molecules import Molecule, from_rdkit, quietly, which_isomer
from distill.data.sets.analogues import analogues
from distill.data.sets.chembl import chembl
from distill.data.sets.clusters import clusters
from distill.data.sets.contacts import contacts, ion_contacts
from distill.data.sets.dimers import dimers
from distill.data.sets.drugs import drugs
from distill.data.sets.exchange import exchange
from distill.data.sets.exotic import exotic
from distill.data.sets.fragments import fragments
from distill.data.sets.handovers import handovers
from distill.data.sets.ionized import ionized
from distill.data.sets.ions import ions
from distill.data.sets.mutated import mutated
from distill.data.sets.peptides import dipeptides
from distill.data.sets.recombined import recombined
from distill.data.sets.rigid import rigid
from distill.data.sets.small import small
from distill.data.sets.split import chosen
from distill.data.sets.water import ions_in_water, water
from distill.data.sets.zwitterions import zwitterions
from distill.data.stereo import one_isomer
from distill.errors import DistillError

SETS: dict[str, Callable[[], Sequence[Molecule]]] = {
    "drugs": drugs,
    "chembl": chembl,
    "fragments": fragments,
    "dipeptides": dipeptides,
    "recombined": recombined,
    "dimers": dimers,
    "contacts": contacts,
    "ion-contacts": ion_contacts,
    "clusters": clusters,
    "water": water,
    "ions-in-water": ions_in_water,
    "exchange": exchange,
    "handovers": handovers,
    "ions": ions,
    "zwitterions": zwitterions,
    "ionized": ionized,
    "small": small,
    "rigid": rigid,
    "exotic": exotic,
    "mutated": mutated,
    "analogues": analogues,
}


def read_set(source: str) -> list[Molecule]:
    """SET:SPLIT in random order, or the first N of it: SET:SPLIT:N. DistillError for others."""
    kind, _, rest = source.partition(":")
    split, _, limit = rest.partition(":")
    if kind not in SETS:
        raise DistillError(f"There is no set '{kind}'; there are {', '.join(SETS)}.")
    if limit and not (limit.isdecimal() and int(limit) > 0):
        raise DistillError(
            f"'{source}': write 1 or more after the split, as {kind}:{split or 'train'}:800."
        )
    found = chosen(kind, SETS[kind](), split)[: int(limit) if limit else None]
    return [_of_one_isomer(kind, molecule) for molecule in found]


def _of_one_isomer(kind: str, molecule: Molecule) -> Molecule:
    """The molecule without open stereochemistry; name, split and order are those of the list."""
    if molecule.positions or not molecule.smiles or "." in molecule.smiles:
        return molecule
    isomer = _isomer(kind, molecule.smiles)
    if isomer is None:
        return molecule
    found = from_rdkit(Chem.AddHs(isomer), molecule.name)
    if found.numbers.tolist() != molecule.numbers.tolist():
        return molecule
    return replace(found, notes=(which_isomer(molecule.smiles, found.smiles or ""),))


@lru_cache(maxsize=16384)
def _isomer(kind: str, smiles: str) -> Chem.Mol | None:
    """One isomer of an open SMILES, not one that is in the set already."""
    isomer: Chem.Mol | None = quietly(one_isomer, Chem.MolFromSmiles(smiles), _known(kind))
    return isomer


@lru_cache(maxsize=1)
def _known(kind: str) -> frozenset[str]:
    return frozenset(molecule.smiles or "" for molecule in SETS[kind]())
