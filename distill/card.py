"""A student's card, for people and for programs."""

from typing import Any

from rich.markup import escape
from rich.table import Table

from distill.elements import symbols
from distill.student.file import FORMAT_VERSION
from distill.student.student import Student

LABELS = {
    "force_rmse": "force RMSE (eV/Å)",
    "force_mae": "force MAE (eV/Å)",
    "force_r2": "force R2",
    "angular_error_deg": "angular error (degrees)",
    "energy_mae_per_atom": "energy MAE (eV/atom)",
    "energy_rmse_within_a_molecule": "energy RMSE within a molecule (eV/atom)",
    "force_rmse_by_temperature": "force RMSE by temperature",
    "force_rmse_by_element": "force RMSE by element",
    "force_rmse_by_source": "force RMSE by source of the geometry",
}
# shown in lines of their own
SHOWN_APART = ("format", "format_version", "architecture")


def facts(student: Student) -> dict[str, Any]:
    """All that is known of a student, ready for JSON."""
    config = student.config
    return {
        "size": config.size,
        "parameters": sum(p.numel() for p in student.parameters()),
        "architecture": {"family": "PaiNN", **config.as_dict()},
        "elements": symbols(config.elements),
        "cutoff": config.cutoff,
        "format_version": student.card.get("format_version", FORMAT_VERSION),
        **{key: value for key, value in student.card.items() if key not in SHOWN_APART},
    }


def card_table(found: dict[str, Any], title: str) -> Table:
    """The facts as a table for the terminal."""
    table = Table(title=escape(title), show_header=False, title_style="bold")
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    architecture = found["architecture"]
    rows = {
        "size": found["size"],
        "parameters": f"{found['parameters']:,}",
        "architecture": f"PaiNN, {architecture['layers']} layers of {architecture['hidden']} "
        f"features, {architecture['n_radial']} radial functions",
        "elements": found["elements"],
        "cutoff": f"{found['cutoff']:g} Å",
        "file format": found["format_version"],
    }
    for key, value in rows.items():
        table.add_row(key, escape(str(value)))
    known = ("size", "parameters", "architecture", "elements", "cutoff", "format_version")
    for section, value in found.items():
        if section in known or value in ({}, None):
            continue
        table.add_section()
        if not isinstance(value, dict):
            table.add_row(section.replace("_", " "), escape(text(value)))
            continue
        for key, item in value.items():
            if item in (None, "", "{}"):
                continue
            name = LABELS.get(key, key.replace("_", " "))
            table.add_row(f"{section.replace('_', ' ')}: {name}", escape(text(item)))
    if not found.get("held_out") and not found.get("validation"):
        table.add_section()
        table.add_row("held out", "no errors are recorded")
    return table


def text(value: Any) -> str:
    """A value of the card in a line."""
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, list):
        return ", ".join(text(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {text(item)}" for key, item in value.items())
    return str(value)
