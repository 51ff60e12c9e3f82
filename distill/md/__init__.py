"""``distill md``: MD of any student as a command; an engine's plugin does the work.

:mod:`distill.md.settings` is what can be asked, :mod:`distill.md.source` who is simulated,
:mod:`distill.md.cli` the command. The engine is found through the entry-point group ``distill.md``.
"""

from distill.md.settings import MDSettings
from distill.md.source import Source

__all__ = ["MDSettings", "Source"]
