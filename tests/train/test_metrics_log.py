"""metrics.csv: kept up by full disks and kills, and no reason to stop."""

from pathlib import Path

import pytest

from distill.train.curve import plot_curve
from distill.train.metrics_log import MetricsLog, read_rows
from tests.small_disk import files_of_at_most


def fill(log: MetricsLog, epochs: range) -> None:
    for k in epochs:
        metrics = {"epoch": k, "minutes": 0.1 * k, "train_force_rmse": 1.0 / (k + 1)}
        log.log_metrics(metrics, 10 * (k + 1))


def steps(path: Path) -> list[float]:
    return [float(row["step"]) for row in read_rows(path)]


def test_rows_come_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    log = MetricsLog(path)
    fill(log, range(2))
    assert steps(path) == [10, 20]
    log.log_metrics({"epoch": 2, "minutes": 0.3, "valid_force_rmse": 2.0}, 30)  # a new column
    fill(log, range(3, 5))
    assert steps(path) == [10, 20, 30, 40, 50]
    assert [row["valid_force_rmse"] for row in read_rows(path)] == ["", "", "2.0", "", ""]


def test_a_full_disk_does_not_stop_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "metrics.csv"
    log = MetricsLog(path)
    fill(log, range(3))
    with files_of_at_most(path.stat().st_size + 10):
        fill(log, range(3, 8))
        assert steps(path) == [10, 20, 30]  # no half row
    assert capsys.readouterr().err.count("the training goes on") == 1
    fill(log, range(8, 9))
    assert steps(path) == [10.0 * k for k in range(1, 10)]


def test_a_resumed_run_goes_on_with_them(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    fill(MetricsLog(path), range(4))
    content = path.read_text()
    path.write_text(content + "3,0.1,0.2")  # cut off by a kill
    fill(MetricsLog(path, steps=20), range(2, 4))
    assert path.read_text() == content
    fill(MetricsLog(path), range(1))  # a new run
    assert steps(path) == [10]


@pytest.mark.parametrize("content", [b"", b"\xff\x00\xfe", b"a,b\n1,2\n", b"step,minutes\n1\n"])
def test_the_curve_is_drawn_of_what_there_is(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_bytes(content)
    plot_curve(tmp_path / "metrics.csv", tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
