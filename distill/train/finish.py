"""After a training: the student is saved first, and only then looked at."""

from collections.abc import Sequence
from pathlib import Path

from distill.errors import DistillError
from distill.student.file import save_student
from distill.student.student import Student
from distill.train.graphs import Graph
from distill.train.latent import fit_latent
from distill.train.progress import tell
from distill.whole import sweep


def save_with_uncertainty(
    student: Student, train: Sequence[Graph], valid: Sequence[Graph], path: Path
) -> None:
    """Saves a trained student, fits what tells how unlike its training set an atom is, and saves it
    again; where that cannot be fitted, the student goes without, and the user is told.

    Raises DistillError when the disk refuses.
    """
    sweep(path)
    student.latent = None
    try:
        save_student(student, path)
    except DistillError as error:
        raise DistillError(
            f"{error} (`distill train` with --resume: the training is done, and its last "
            "checkpoint is kept.)"
        ) from error
    try:
        student.latent = fit_latent(student, train, valid)
    except Exception as error:  # numpy and torch raise many kinds for what they cannot fit
        tell(f"The student is in {path}, but its uncertainty could not be fitted: {error}")
        return
    if student.latent is not None:
        save_student(student, path)
