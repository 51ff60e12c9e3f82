"""Labels of SPICE's own kind of file (Eastman et al., Sci. Data 10, 11 (2023)).

A group for each molecule: ``atomic_numbers`` (N,), ``conformations`` (M, N, 3),
``dft_total_energy`` (M,), ``dft_total_gradient`` (M, N, 3) and ``smiles``; units stand in
attributes, those of SPICE are bohr and hartree.
"""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from ase import units
from rdkit import Chem

from distill.data.dataset import damage
from distill.data.molecules import quietly
from distill.errors import DistillError
from distill.evaluate.frames import LabelledFrame

ENERGY, GRADIENT = "dft_total_energy", "dft_total_gradient"
NEEDED = ("atomic_numbers", "conformations", ENERGY, GRADIENT)
LENGTHS = {"bohr": units.Bohr, "angstrom": 1.0, "angstroms": 1.0, "å": 1.0, "nm": 10.0}
ENERGIES = {
    "hartree": units.Hartree,
    "ev": 1.0,
    "kcal/mol": units.kcal / units.mol,
    "kj/mol": units.kJ / units.mol,
}


def is_spice(path: Path) -> bool:
    """Whether an HDF5 file is in SPICE's layout, and not ours."""
    try:
        with damage(path), h5py.File(path, "r") as file:
            first = next(iter(file.values()), None)
            return isinstance(first, h5py.Group) and all(key in first for key in NEEDED)
    except DistillError:  # Dataset.open says what is wrong with it
        return False


def read_spice(path: Path) -> list[LabelledFrame]:
    """All frames, in eV and Å. Raises DistillError for units that are not known."""
    frames = []
    with h5py.File(path, "r") as file:
        for name in file:
            with damage(path, f" at '{name}'"):
                frames += _read_group(path, str(name), file[name])
    return frames


def _read_group(path: Path, name: str, group: h5py.Group) -> list[LabelledFrame]:
    where = f"{path}, molecule {name}"
    for key in NEEDED:
        if key not in group:
            raise DistillError(f"{where} has no {key}; leave it out.")
    length = _unit(group["conformations"], LENGTHS, where)
    energy = _unit(group[ENERGY], ENERGIES, where)
    numbers = group["atomic_numbers"][:].astype(np.int64)
    positions = group["conformations"][:].astype(float) * length
    energies = group[ENERGY][:].astype(float) * energy
    above, _, below = str(group[GRADIENT].attrs.get("units", "")).rpartition("/")
    slope = _factor(above, ENERGIES, where) / _factor(below, LENGTHS, where)
    forces = group[GRADIENT][:].astype(float) * -slope
    n = len(numbers)
    if not (positions.shape == forces.shape == (len(energies), n, 3)):
        raise DistillError(f"{where}: the shapes of its arrays do not go together.")
    charge = _charge(group, where)
    return [
        LabelledFrame(name, numbers, x, float(e), f, charge=charge)
        for x, e, f in zip(positions, energies, forces)
    ]


def _unit(values: Any, known: dict[str, float], where: str) -> float:
    return _factor(str(values.attrs.get("units", "")), known, where)


def _factor(unit: str, known: dict[str, float], where: str) -> float:
    if unit.strip().lower() not in known:
        raise DistillError(
            f"{where} has the unit '{unit}' (attribute units), which is not known; write extended "
            "XYZ in eV and Å."
        )
    return known[unit.strip().lower()]


def _charge(group: h5py.Group, where: str) -> int:
    """The formal charge, from the SMILES."""
    if "smiles" not in group:
        raise DistillError(f"{where} has no smiles, which tells the charge; write extended XYZ.")
    smiles = np.asarray(group["smiles"].asstr()[()]).reshape(-1)
    mol = quietly(Chem.MolFromSmiles, str(smiles[0]), sanitize=False) if len(smiles) else None
    if mol is None:
        raise DistillError(f"{where}: its SMILES cannot be read, which tells the charge.")
    return int(Chem.GetFormalCharge(mol))
