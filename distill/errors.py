"""The one exception users see."""


class DistillError(Exception):
    """A mistake the user can mend: one sentence that says what is wrong and what to do.

    The command line prints it and ends with exit code 2.
    """
