"""``python -m distill_lammps``: ``build`` finds or builds LAMMPS, ``env`` puts it on the paths."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from distill.errors import DistillError

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.command()
def build(
    source: Annotated[
        Path | None, typer.Option(help="LAMMPS' source, a folder or archive (default: Debian's).")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Build even where one is there.")] = False,
) -> None:
    """Finds a LAMMPS that takes students, or builds one into the user's cache; prints its place.

    An `lmp` on the PATH is taken when it runs a student and is right; else the reason is said, and
    LAMMPS is built: ML-IAP with Python, MOLECULE, KSPACE, RIGID, PLUGIN, MPI. No root is needed.
    DISTILL_CACHE names another folder for it.
    """
    from distill_lammps.build import build as make
    from distill_lammps.build import built
    from distill_lammps.find import on_path, why_not

    found = on_path()
    if found and not force and built() is None:
        reason = why_not(found)
        if not reason:
            print(found)
            return
        say(f"{found} will not do: {reason}.")
    place = make(source, force, say)
    reason = why_not(str(place / "bin" / "lmp"), place)
    if reason:
        raise DistillError(f"The LAMMPS in {place} will not do: {reason}; build it again: --force.")
    print(place)


@app.command()
def env() -> None:
    """Prints what a shell needs: eval "$(python -m distill_lammps env)"."""
    from distill_lammps.build import built
    from distill_lammps.environment import for_shell
    from distill_lammps.find import on_path

    place = built()
    if place is None and on_path() is None:
        raise DistillError("There is no LAMMPS yet; build it: python -m distill_lammps build.")
    print(for_shell(place))


def say(sentence: str) -> None:
    """To the user, not into what a script reads."""
    print(sentence, file=sys.stderr, flush=True)


def main() -> None:
    """Turns what users can mend into one sentence."""
    try:
        app(standalone_mode=True)
    except DistillError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
