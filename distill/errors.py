"""The one exception users see, and how others are told of in its sentence."""


class DistillError(Exception):
    """A mistake the user can mend: one sentence that says what is wrong and what to do.

    The command line prints it and ends with exit code 2.
    """


def reason(error: BaseException) -> str:
    """What an error says, as part of a sentence: all of it, on one line, without a full stop."""
    text = " ".join(str(error).split()).rstrip(".")
    # the text of a KeyError and the like is only the key
    return text if " " in text else f"{type(error).__name__}: {text}".rstrip(": ")


def first_line(error: BaseException) -> str:
    """The same of errors that go on for pages, as torch's do: their first line alone."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
