"""Errors of others as part of a sentence."""

import pytest

from distill.errors import first_line, reason


@pytest.mark.parametrize(
    ("error", "whole", "first"),
    [
        (ValueError("no such\n  thing."), "no such thing", "no such"),
        (KeyError("x"), "KeyError: 'x'", "'x'"),
        (RuntimeError(), "RuntimeError", "RuntimeError"),
        (RuntimeError("\nCUDA error\nat line 7"), "CUDA error at line 7", "CUDA error"),
    ],
)
def test_an_error_in_a_sentence(error: Exception, whole: str, first: str) -> None:
    assert reason(error) == whole
    assert first_line(error) == first
