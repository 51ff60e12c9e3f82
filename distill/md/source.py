"""Who is simulated, and in what."""

from dataclasses import dataclass

from distill.errors import DistillError


@dataclass(frozen=True)
class Source:
    """What an MD run is made from; exactly one of ``molecule``, ``complex``, ``prmtop``, ``system``
    and ``force_field`` is given.

    molecule: a SMILES, a file, or the folder of a ``distill run``; in vacuum, or with ``solvent``
    "water" in a box of it. complex: a PDB file of a protein, with the ``ligand``'s file or SMILES.
    prmtop with inpcrd; system, a System's XML, or force_field, OpenMM's files, with ``pdb``: there
    ``ml`` says which atoms are the student's. padding in Å, salt in mol/l, ph; charges as
    `distill_openmm.gaff` takes them.
    """

    molecule: str = ""
    complex: str = ""
    ligand: str = ""
    prmtop: str = ""
    inpcrd: str = ""
    system: str = ""
    force_field: tuple[str, ...] = ()
    pdb: str = ""
    ml: str = ""
    solvent: str = "none"
    water_model: str = "tip3p"
    padding: float = 12.0
    salt: float = 0.0
    ph: float = 7.0
    charges: str = "am1-bcc"
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
        if self.solvent not in ("none", "water"):
            raise DistillError(f"--solvent is '{self.solvent}'; use water, or none.")
        if self.solvent == "water" and (self.prmtop or self.system or self.force_field):
            raise DistillError(f"{given[0]} brings its solvent along; leave --solvent out.")
        if not self.padding > 0:
            raise DistillError(f"--padding is {self.padding} Å; give more than 0.")
        if not 0 <= self.salt < 10:
            raise DistillError(f"--salt is {self.salt} mol/l; give 0 or more, 0.15 for example.")

    @property
    def in_vacuum(self) -> bool:
        """Whether there are no other atoms than the student's."""
        return bool(self.molecule) and self.solvent == "none"


NEEDS = {
    "complex": "ligand", "prmtop": "inpcrd", "inpcrd": "prmtop", "system": "pdb",
    "force_field": "pdb", "ligand": "complex",
}  # fmt: skip
"""Options that are of no use without another."""
WHAT = {
    "ligand": "an SDF file or a SMILES of the ligand",
    "inpcrd": "the coordinates",
    "prmtop": "the topology and its parameters",
    "pdb": "a PDB file of all atoms",
    "complex": "a PDB file of its protein",
}


def option(name: str) -> str:
    """As it is written on the command line."""
    return "--" + name.replace("_", "-")
