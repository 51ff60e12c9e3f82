"""The shipped students beside each other, as a Markdown table, from the cards in their files.

    python benchmarks/students.py

`python -m distill.pretrained.make` measured the errors, once, on drugs whose scaffolds were not
trained on. The last columns are those of the system before this one, on its one molecule, which it
was trained on.
"""

from distill import load_student
from distill.student import SIZES
from distill.student.file import student_path

EARLIER = {"original": ("427K", 0.9958), "tiny": ("77K", 0.379), "ultra-tiny": ("21K", 0.150)}


def main() -> None:
    """Prints the table."""
    columns = (
        "student", "parameters", "file (kB)", "trained (min, 1 thread)", "force RMSE (eV/Å)",
        "force MAE (eV/Å)", "force R2", "angle (°)", "earlier: parameters", "force R2",
    )  # fmt: skip
    print("|", " | ".join(columns), "|")
    print("|", " | ".join("---" for _ in columns), "|")
    for size in SIZES:
        student = load_student(size)
        held_out = student.card["held_out"]
        row = (
            f"`{size}`",
            f"{sum(p.numel() for p in student.parameters()):,}",
            f"{student_path(size).stat().st_size / 1000:.0f}",
            f"{student.card['training']['minutes']:g}",
            f"{held_out['force_rmse']:.3f}",
            f"{held_out['force_mae']:.3f}",
            f"{held_out['force_r2']:.4f}",
            f"{held_out['angular_error_deg']:.1f}",
            *map(str, EARLIER[size]),
        )
        print("|", " | ".join(row), "|")
    print(f"\n{held_out['set']}: {held_out['molecules']} drugs, {held_out['geometries']} frames.")


if __name__ == "__main__":
    main()
