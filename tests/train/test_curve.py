"""Learning curves: what metrics.csv tells of the labels, and the picture."""

from pathlib import Path

from PIL import Image

from distill.train.curve import errors_by_labels, plot_labels


def test_errors_by_labels_are_taken_as_labels_come_in(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.csv"
    metrics.write_text(
        "epoch,labels,minutes,step,valid_force_rmse\n"
        "0,40.0,0.1,100,0.30\n1,41.0,0.2,200,0.25\n2,80.0,0.3,300,0.20\n3,,0.4,400,0.1\n"
    )
    assert errors_by_labels(metrics) == [
        {"labels": 40.0, "force_rmse": 0.30},
        {"labels": 80.0, "force_rmse": 0.20},
    ]
    assert errors_by_labels(tmp_path / "none.csv") == []


def test_the_picture_begins_at_no_label(tmp_path: Path) -> None:
    points = [{"labels": n, "force_rmse": 1.0 / (n + 1)} for n in (0.0, 1.0, 7.0, 25.0)]
    plot_labels(points, tmp_path / "curve.png")
    with Image.open(tmp_path / "curve.png") as picture:
        assert picture.width > 400 and len(set(picture.convert("L").getdata())) > 2
