"""Is the student right? Predictions, metrics, the six-panel figure and the report on disk."""

from distill.evaluate.figure import force_analysis
from distill.evaluate.frames import LabelledFrame, read_frames
from distill.evaluate.metrics import HEADLINE, compute_metrics
from distill.evaluate.predict import Predictions, predict
from distill.evaluate.report import check_out_dir, evaluate, format_log, write_report

__all__ = [
    "HEADLINE",
    "LabelledFrame",
    "Predictions",
    "check_out_dir",
    "compute_metrics",
    "evaluate",
    "force_analysis",
    "format_log",
    "predict",
    "read_frames",
    "write_report",
]
