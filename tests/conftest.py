"""Rules of every test run: one torch thread, one seed, and no skipped tests."""

import os
import sys

# before torch, OpenMM and the BLAS libraries are loaded: they read these once
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import random
import signal
from collections.abc import Iterator

import numpy as np
import pytest
import torch

# A run that a script has put into the background ignores Ctrl-C, and so would the programs that the
# tests start and send it to.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SEED = 20260801
pytest_plugins = ["tests.limits"]

# orb-models does not install there (pyproject.toml says why)
collect_ignore = ["teacher/test_orb.py"] if sys.version_info >= (3, 13) else []

_skipped: dict[str, str] = {}


def pytest_report_header() -> list[str]:
    """Say so when a test module is left out."""
    return [f"NOT TESTED on this Python: {name}" for name in collect_ignore]


@pytest.fixture
def seed() -> int:
    """The seed of this test run, for code that takes one."""
    return SEED


@pytest.fixture
def rng(seed: int) -> np.random.Generator:
    """A numpy generator that gives the same numbers in every run."""
    return np.random.default_rng(seed)


@pytest.fixture(autouse=True)
def _same_numbers_every_run() -> Iterator[None]:
    """One torch thread and fresh global seeds, whatever the test before has done."""
    torch.set_num_threads(1)
    random.seed(SEED)
    np.random.seed(SEED)  # noqa: NPY002  (libraries draw from the global generator)
    torch.manual_seed(SEED)
    yield
    torch.set_default_dtype(torch.float32)


# A test that is skipped (or expected to fail) proves nothing, and nobody reads the list of skips:
# both end the run with exit status 1. The three hooks also work in the controller of pytest-xdist.
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note a skipped test."""
    if report.skipped:
        _skipped[report.nodeid] = _reason(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Note a skipped module."""
    if report.skipped:
        _skipped[report.nodeid] = _reason(report)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail the run when a test was skipped."""
    if _skipped and exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what was skipped."""
    if _skipped:
        terminalreporter.section("skipped tests are failures", red=True, bold=True)
        for nodeid, reason in _skipped.items():
            terminalreporter.line(f"{nodeid}: {reason}")


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    if hasattr(report, "wasxfail"):
        return f"expected failure: {report.wasxfail}"
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2]
    return str(report.longrepr)
