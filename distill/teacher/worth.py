"""What a teacher itself is good for. A student's error is its error to its teacher; the teacher's
own error comes on top, and is often the larger one."""

DFT = "r2SCAN-D4/def2-TZVP"
FORCE_ERRORS = {"gfn2-xtb": 0.25, "gfn1-xtb": 0.22}
"""eV/Å, root mean square of the forces' difference to DFT on nine fragments, one geometry of each
at 300 K (`benchmarks/teachers_against_dft.py`)."""
OWN = "own labels"
"""The teacher of files that do not say who labelled."""


def worth(teacher: str | None) -> str:
    """A sentence on the teacher's own error, as far as it is known."""
    if not teacher:
        return "It is not recorded who taught the student."
    if teacher in FORCE_ERRORS:
        return (
            f"{teacher} itself is about {FORCE_ERRORS[teacher]} eV/Å off DFT ({DFT}, forces of "
            "nine fragments)."
        )
    if teacher.startswith("pyscf:"):
        return f"{teacher} itself is as good as its functional and basis set."
    if teacher == OWN:
        return "How good the labels themselves are is not known here."
    return f"How good {teacher} itself is was not measured here."


def agreement(teacher: str | None) -> str:
    """The sentence that goes with any error of a student."""
    return f"Errors are to the teacher, not to nature. {worth(teacher)}"


def teacher_of(card: dict[str, object]) -> str | None:
    """The teacher's name in a student's card."""
    teacher = card.get("teacher")
    name = teacher.get("name") if isinstance(teacher, dict) else None
    return str(name) if name else None
