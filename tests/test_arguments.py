"""Arguments of commands: what is read, and what is refused."""

import pytest

from distill.arguments import key_values, numbers
from distill.errors import DistillError


def test_small_parsers() -> None:
    assert key_values(["a=1", "b=x=y"]) == {"a": "1", "b": "x=y"}
    assert numbers("300, 500", "--temperatures") == (300.0, 500.0)
    for wrong in ("", "300;500", "0", "-1", "nan", "inf"):
        with pytest.raises(DistillError, match="positive numbers"):
            numbers(wrong, "--temperatures")
