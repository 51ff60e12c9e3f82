"""The documentation builds: no link, anchor or reference in it leads nowhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_pages_build(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    shown = (tmp_path / "python.html").read_text()
    for name in ("load_student", "StudentCalculator", "create_force", "read_molecules"):
        assert name in shown
    assert "distill quantize" in (tmp_path / "commands.html").read_text()
    assert "http" not in [link[:4] for link in _loaded(tmp_path / "index.html")]


def _loaded(page: Path) -> list[str]:
    """What a browser fetches for the page."""
    return re.findall(
        r'<(?:script|img|link rel="stylesheet")[^>]*(?:src|href)="([^"]+)"', page.read_text()
    )
