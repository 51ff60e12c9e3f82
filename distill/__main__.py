"""The program ``distill``: ready for Ctrl-C before the imports that take their time."""

import os
import signal


def main() -> None:
    """The entry point."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # in the background of a script
        signal.signal(signal.SIGINT, _nothing_begun)
    signal.signal(signal.SIGTERM, _nothing_begun)
    from distill.cli import main as program

    program()  # which listens for itself, first of all


def _nothing_begun(number: int, frame: object) -> None:
    os.write(2, b"Stopped; nothing was begun.\n")
    os._exit(130)


if __name__ == "__main__":
    main()
