"""Who is simulated, and in what."""

import math
from dataclasses import dataclass

from distill.engine_arguments import check_choice
from distill.errors import DistillError

SOLVENTS = ("none", "water", "obc2", "gbn2")
"""The last two are implicit."""
OF_WATER = ("water_model", "padding", "salt", "box")
"""Settings that only a box of water has."""


@dataclass(frozen=True)
class Source:
    """What an MD run is made from; exactly one of ``molecule``, ``complex``, ``prmtop``, ``system``
    and ``force_field`` is given.

    molecule: a SMILES, a file, or the folder of a ``distill run``. complex: a protein's PDB file,
    with the ``ligand``'s file or SMILES, or, of a ligand without coordinates, the ``residue`` of
    the PDB file that it is. prmtop with inpcrd; system, a System's XML, or force_field, OpenMM's
    files, with ``pdb``: there ``ml`` says which atoms are the student's; in a complex it adds some
    to the ligand. solvent: "none", "water", or an implicit one. padding (Å, None: the usual) and
    salt (mol/l) of the water; cutoff (Å) of the classical forces. charges: "am1-bcc", which may
    take ``charge_minutes``, "gasteiger" or a MOL2 file.
    """

    molecule: str = ""
    complex: str = ""
    ligand: str = ""
    residue: str = ""
    prmtop: str = ""
    inpcrd: str = ""
    system: str = ""
    force_field: tuple[str, ...] = ()
    pdb: str = ""
    ml: str = ""
    solvent: str = "none"
    water_model: str = "tip3p"
    padding: float | None = None
    salt: float = 0.0
    box: str = "dodecahedron"
    cutoff: float = 9.0
    ph: float = 7.0
    charges: str = "am1-bcc"
    charge_minutes: float = 10.0
    charge: int | None = None
    spin: int | None = None
    largest_fragment: bool = False

    def __post_init__(self) -> None:
        ways = {
            "SOURCE": self.molecule, "--complex": self.complex, "--prmtop": self.prmtop,
            "--system": self.system, "--force-field": self.force_field,
        }  # fmt: skip
        given = [name for name, value in ways.items() if value]
        if not given:
            raise DistillError(
                "Name what shall be simulated: a SMILES, a file or the folder of a run, or "
                "--complex with --ligand, --prmtop with --inpcrd, --system or --force-field with "
                "--pdb."
            )
        if len(given) > 1:
            raise DistillError(
                f"{given[0]} and {given[1]} exclude each other; the ligand of a complex goes into "
                "--ligand, other atoms of the student's into --ml."
            )
        for name, partner in NEEDS.items():
            if getattr(self, name) and not getattr(self, partner):
                raise DistillError(
                    f"{option(name)} needs {option(partner)}, {WHAT[partner]}; give both."
                )
        for name in ("prmtop", "system", "force_field"):
            if getattr(self, name) and not self.ml:
                raise DistillError(
                    f"With {option(name)}, --ml says which atoms are the student's: the name of a "
                    "residue, as in --ml LIG."
                )
        if self.molecule and self.ml:
            raise DistillError(
                "--ml chooses among the atoms of a complex; of a molecule the student moves all."
            )
        check_choice("--solvent", self.solvent, SOLVENTS)
        own = self.system or self.force_field or (self.prmtop and self.solvent == "water")
        if own and self.solvent != "none":
            raise DistillError(f"{given[0]} brings its solvent along; leave --solvent out.")
        for name in (
            "cutoff",
            "charge_minutes",
            *(["padding"] if self.padding is not None else []),
        ):
            if not 0 < getattr(self, name) < math.inf:
                raise DistillError(f"{option(name)} is {getattr(self, name):g}; give more than 0.")
        if self.pdb and not (self.system or self.force_field):
            raise DistillError("--pdb goes with --system or --force-field; a protein is --complex.")
        if self.ph != Source.ph and not self.complex:
            raise DistillError("--ph is for the hydrogens of a --complex; leave it out.")
        if not self.molecule and (self.charge, self.spin, self.largest_fragment) != (
            None,
            None,
            False,
        ):
            raise DistillError(
                "--charge, --spin and --largest-fragment are of a molecule's file; leave them out."
            )
        for name in OF_WATER if self.solvent != "water" else ():
            if getattr(self, name) != getattr(Source, name):
                raise DistillError(f"{option(name)} is for water; add --solvent water.")
        if not 0 <= self.salt < 10:
            raise DistillError(f"--salt is {self.salt:g} mol/l; give 0 or more, such as 0.15.")

    @property
    def in_vacuum(self) -> bool:
        """Whether there are no other atoms than the student's."""
        return bool(self.molecule) and self.solvent == "none"


NEEDS = {
    "residue": "complex",
    "complex": "ligand", "prmtop": "inpcrd", "inpcrd": "prmtop", "system": "pdb",
    "force_field": "pdb", "ligand": "complex",
}  # fmt: skip
"""Options that are of no use without another."""
WHAT = {
    "ligand": "an SDF or MOL2 file, or a SMILES of the ligand",
    "inpcrd": "the coordinates",
    "prmtop": "the topology and its parameters",
    "pdb": "a PDB file of all atoms",
    "complex": "a PDB file of its protein",
}


def option(name: str) -> str:
    """As it is written on the command line."""
    return "--" + name.replace("_", "-")
