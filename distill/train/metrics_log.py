"""metrics.csv: a row for each epoch, which a full disk or a kill cannot spoil."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from distill.errors import DistillError
from distill.train.progress import tell
from distill.whole import whole_file

Row = dict[str, str]


def read_rows(path: Path) -> list[Row]:
    """The rows of a metrics.csv; those that a kill has cut off are left out."""
    try:
        text = path.read_text(errors="replace")
        rows = list(csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1])))
    except (OSError, csv.Error):
        return []
    whole = (row for row in rows if None not in row and None not in row.values())
    return [row for row in whole if _is_number(row.get("step"))]


def _is_number(text: str | None) -> bool:
    try:
        return float(text or "") == float(text or "")
    except ValueError:
        return False


class MetricsLog(Logger):
    """Adds what Lightning logs to a file. The run goes on where the disk refuses: the rows are kept
    in memory, and go to the file with the next that it takes.

    steps: rows of a file that is there are kept up to this step; 0 begins anew.
    """

    def __init__(self, path: Path, steps: int = 0) -> None:
        super().__init__()
        self.path = path
        before = read_rows(path) if steps else []
        self.rows: list[Row] = [row for row in before if float(row["step"]) <= steps]
        self.columns: list[str] = []  # those of the file as it stands; none: write it anew
        self.in_file = 0
        self.told = False

    @property
    def name(self) -> str:
        """Lightning asks every logger for a name; this one has none to tell."""
        return ""

    @property
    def version(self) -> str:
        """Lightning asks for this, too."""
        return ""

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """They are in train.json."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """A row: the metrics, and the step."""
        row = {key: str(float(value)) for key, value in metrics.items() if key != "epoch"}
        if "epoch" in metrics:
            row["epoch"] = str(int(metrics["epoch"]))
        row["step"] = str(step if step is not None else len(self.rows))
        self.rows.append(row)
        try:
            self._write()
        except (OSError, DistillError) as error:
            if not self.told:
                tell(f"{self.path} is not up to date, the training goes on: {error}")
            self.told = True

    def _write(self) -> None:
        columns = sorted({key for row in self.rows for key in row})
        if columns != self.columns or not self.path.is_file():
            self.columns = []
            with whole_file(self.path) as place:
                place.write_text(",".join(columns) + "\n" + _lines(self.rows, columns))
            self.columns, self.in_file = columns, len(self.rows)
            return
        length = self.path.stat().st_size
        try:
            with self.path.open("a") as file:
                file.write(_lines(self.rows[self.in_file :], columns))
        except OSError:
            self.columns = []  # half a row may be in it
            with self.path.open("r+b") as file:
                file.truncate(length)
            raise
        self.in_file = len(self.rows)


def _lines(rows: list[Row], columns: list[str]) -> str:
    text = io.StringIO()
    csv.DictWriter(text, columns, lineterminator="\n").writerows(rows)
    return text.getvalue()
