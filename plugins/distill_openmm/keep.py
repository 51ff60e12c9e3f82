"""A ``Prepared`` in a folder, from which the same run can start again in every bit."""

import gzip
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from openmm import app, unit

from distill.errors import DistillError
from distill.whole import whole_file
from distill_openmm.prepared import Prepared
from distill_openmm.topology import Isotope

SETUP, SYSTEM = "setup.json.gz", "system.xml.gz"
DAMAGED = (
    OSError, EOFError, ValueError, KeyError, TypeError, IndexError, openmm.OpenMMException,
    zlib.error, zipfile.BadZipFile,
)  # fmt: skip
"""What readers raise for files that are."""


def write_prepared(folder: Path, prepared: Prepared) -> None:
    """Writes ``system.xml.gz`` and ``setup.json.gz``; the latter, which comes last, is the sign
    that all is there. Its numbers are written so that they are read back to the last bit."""
    if prepared.system is not None:
        with whole_file(folder / SYSTEM) as place:
            text = openmm.XmlSerializer.serialize(prepared.system)
            place.write_bytes(gzip.compress(text.encode(), 6, mtime=0))
    box = prepared.box
    kept = {
        "topology": packed(prepared.topology),
        "mm": prepared.system is not None,
        "positions": np.asarray(prepared.positions).tolist(),
        "box": None if box is None else np.asarray(box).tolist(),
        "atoms": list(prepared.atoms),
        "charge": prepared.charge,
        "notes": list(prepared.notes),
    }
    with whole_file(folder / SETUP) as place:
        place.write_bytes(gzip.compress(json.dumps(kept).encode(), 6, mtime=0))


def read_prepared(folder: Path) -> Prepared:
    """What :func:`write_prepared` wrote; DistillError for files that are damaged."""
    try:
        kept = json.loads(gzip.decompress((folder / SETUP).read_bytes()))
        system = None
        if kept["mm"]:
            text = gzip.decompress((folder / SYSTEM).read_bytes()).decode()
            system = openmm.XmlSerializer.deserialize(text)
        box = kept["box"]
        return Prepared(
            unpacked(kept["topology"], box), system, np.array(kept["positions"]), kept["atoms"],
            None if box is None else np.array(box), kept["charge"], tuple(kept["notes"]),
        )  # fmt: skip
    except DAMAGED as error:
        raise DistillError(
            f"{folder} is damaged ({error}); give another -o, which starts anew."
        ) from error


def packed(topology: app.Topology) -> dict[str, Any]:
    """A topology as lists: chains, residues of them, atoms of those, bonds."""
    residues = list(topology.residues())
    return {
        "chains": [chain.id for chain in topology.chains()],
        "residues": [[r.name, r.chain.index, r.id, r.insertionCode] for r in residues],
        "atoms": [
            [a.name, *element_of(a), a.residue.index, a.id] for a in topology.atoms()
        ],
        "bonds": [
            [b.atom1.index, b.atom2.index, None if b.type is None else str(b.type), b.order]
            for b in topology.bonds()
        ],
    }  # fmt: skip


def element_of(atom: Any) -> tuple[int, float | None]:
    """The atomic number, 0 of none, and the mass of an isotope."""
    if atom.element is None:
        return 0, None
    mass = atom.element.mass._value if isinstance(atom.element, Isotope) else None
    return atom.element.atomic_number, mass


def unpacked(lists: dict[str, Any], box: Any = None) -> app.Topology:
    """The topology of :func:`packed`. box (3, 3) in Å."""
    topology = app.Topology()
    chains = [topology.addChain(name) for name in lists["chains"]]
    residues = [
        topology.addResidue(name, chains[chain], number, code)
        for name, chain, number, code in lists["residues"]
    ]
    atoms = []
    for name, number, mass, residue, label in lists["atoms"]:
        element = app.Element.getByAtomicNumber(number) if number else None
        if mass is not None:
            element = Isotope(element, mass)
        atoms.append(topology.addAtom(name, element, residues[residue], label))
    for i, j, kind, order in lists["bonds"]:
        type_ = None if kind is None else getattr(app.topology, kind)
        topology.addBond(atoms[i], atoms[j], type=type_, order=order)
    if box is not None:
        topology.setPeriodicBoxVectors(0.1 * np.array(box) * unit.nanometer)
    return topology
