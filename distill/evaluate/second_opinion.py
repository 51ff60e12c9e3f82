"""Does a student agree with its teacher on a molecule? Without the teacher, another student tells.

Students of one teacher that differ in size err differently where they have learned nothing, and
alike nowhere: where their forces agree, both are near their teacher (query by committee: Seung,
Opper, Sompolinsky, COLT 1992, 287). How near the teacher is to nature they cannot tell. How
well that ranks errors is measured by `benchmarks/uncertainty.py`.
"""

from dataclasses import dataclass, replace

import numpy as np

from distill.data.molecules import Molecule
from distill.data.sampling import Sampling, sample
from distill.errors import DistillError
from distill.evaluate.frames import LabelledFrame
from distill.evaluate.predict import predict
from distill.student.student import Student

GEOMETRIES = Sampling(frames=8, temperatures=(300.0, 500.0), displaced=0.0)
DOUBTFUL = 0.2
"""eV/Å. Chosen on 357 validation molecules for the students of before. `original`, `tiny` and
`ultra-tiny` are off their teacher by more than 0.25 on 1, 3 and 16 of them, the second differs by
more than this on all of these, and on 4, 2 and 22 others."""


def second_for(name: str) -> str:
    """The shipped student to ask about another."""
    return "tiny" if name == "original" else "original"


@dataclass(frozen=True)
class Opinion:
    """difference: root mean square over geometries and force components, eV/Å; NaN where there is
    none, and ``problem`` says why. frames: geometries compared."""

    name: str
    atoms: int
    frames: int = 0
    difference: float = float("nan")
    problem: str = ""

    @property
    def doubtful(self) -> bool:
        """Whether the molecule needs labels of its own."""
        return not self.difference <= DOUBTFUL


def second_opinion(
    student: Student,
    other: Student,
    molecule: Molecule,
    sampling: Sampling = GEOMETRIES,
) -> Opinion:
    """Compares two students on a molecule's geometries.

    Never raises DistillError: what hinders the comparison (an element or a charge that a student
    does not know, no geometry) is the opinion's problem, and a reason for doubt.
    """
    opinion = Opinion(molecule.name, len(molecule))
    if len(molecule) == 1:
        return replace(opinion, problem="one atom alone has no forces to compare")
    try:
        frames = [
            LabelledFrame(
                molecule.name, molecule.numbers, np.asarray(frame.positions, dtype=float), 0.0,
                np.zeros((len(molecule), 3)), charge=molecule.charge,
            )
            for frame in sample(molecule, sampling)
        ]  # fmt: skip
        one, two = (predict(s, frames, progress=False).forces_pred for s in (student, other))
    except DistillError as error:
        return replace(opinion, problem=str(error))
    difference = float(np.sqrt(((one - two) ** 2).mean()))
    return replace(opinion, frames=len(frames), difference=difference)
