"""A student's card, for people and for programs."""

from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from distill.elements import symbols
from distill.student.file import FORMAT_VERSION
from distill.student.student import Student
from distill.teacher.worth import agreement, teacher_of

LABELS = {
    "force_rmse": "force RMSE (eV/Å)",
    "force_mae": "force MAE (eV/Å)",
    "force_r2": "force R2",
    "angular_error_deg": "angular error (degrees)",
    "energy_mae_per_atom": "energy MAE (eV/atom)",
    "energy_rmse_within_a_molecule": "energy RMSE in a molecule (eV/atom)",
    "force_rmse_by_temperature": "force RMSE (eV/Å) by temperature",
    "force_rmse_by_element": "force RMSE (eV/Å) by element",
    "force_rmse_by_source": "force RMSE (eV/Å) by source",
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
        "agreement": agreement(teacher_of(student.card)),
    }


def card_tables(found: dict[str, Any], title: str) -> Group:
    """The facts for the terminal: what the student is, and how far it is off, set by set."""
    table = Table(title=escape(title), show_header=False, title_style="bold")
    table.add_column(no_wrap=True)
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
    sections, judged = {}, {}
    for key, value in found.items():
        if isinstance(value, dict) and "force_rmse" in value:
            judged[spaced(key)] = value
        elif isinstance(value, dict):
            sections[spaced(key)] = value
        elif key not in ("agreement", "size", "parameters", "elements", "cutoff", "format_version"):
            rows[spaced(key)] = value
    del sections["architecture"]
    for section, values in {"": rows, **sections}.items():
        shown = {k: v for k, v in values.items() if v not in (None, "", "{}")}
        if section and shown:
            table.add_section()
            table.add_row(f"[bold]{escape(section)}[/]")
        for key, value in shown.items():
            table.add_row(escape(spaced(key)), escape(text(value)))
    if not judged:
        table.add_section()
        table.add_row("held out", "no errors are recorded")
        return Group(table, Text(found["agreement"]))
    return Group(table, errors_table(judged), Text(found["agreement"]))


def errors_table(judged: dict[str, dict[str, Any]]) -> Table:
    """A column for each set of frames."""
    table = Table("errors to its teacher", title_style="bold")
    for name in judged:
        table.add_column(escape(name), overflow="fold")
    for key in dict.fromkeys(key for errors in judged.values() for key in errors):
        label = LABELS.get(key, spaced(key))
        values = [errors.get(key, {}) for errors in judged.values()]
        parts = dict.fromkeys(part for v in values if isinstance(v, dict) for part in v)
        if not parts:
            table.add_row(escape(label), *(escape(text(value)) for value in values))
            continue
        table.add_section()
        table.add_row(f"[bold]{escape(label)}[/]")
        for part in parts:
            cells = [text(value.get(part, "")) for value in values]
            table.add_row(escape(part), *map(escape, cells))
    return table


def spaced(key: str) -> str:
    """A key of the card as words."""
    return key.replace("_", " ")


def text(value: Any) -> str:
    """A value of the card in a line."""
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, list):
        return ", ".join(text(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {text(item)}" for key, item in value.items())
    return str(value)
