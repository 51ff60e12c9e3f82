"""Pages of the documentation that are written elsewhere: the README and the commands' help."""

import subprocess
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
COMMANDS = [sys.executable, "-m", "typer", "distill.cli", "utils", "docs", "--name", "distill"]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds them; mkdocs calls this."""
    readme = (ROOT / "README.md").read_text().replace("](docs/", "](")
    commands = subprocess.run(COMMANDS, capture_output=True, text=True, check=True).stdout
    files.append(File.generated(config, "index.md", content=readme))
    files.append(File.generated(config, "commands.md", content=commands))
    return files
