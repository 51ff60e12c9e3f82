"""What a calculator has found: the properties that ASE knows, and some that it does not."""

from typing import Any


class Results(dict[str, Any]):
    """A dictionary of ASE's properties, and ``beside`` them those that ASE has no name for.

    The latter are read by their names, as all others, but are not among the keys: ASE (in
    ``SinglePointCalculator(atoms, **results)``, ``Calculator.export_properties``) takes a name that
    is not its own for a mistake.
    """

    def __init__(self, **properties: Any):
        super().__init__(**properties)
        self.beside: dict[str, Any] = {}

    def __missing__(self, name: str) -> Any:
        return self.beside[name]

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in self.beside

    def get(self, name: str, default: Any = None) -> Any:
        """The property, or the default where it is not there."""
        return self[name] if name in self else default

    def __repr__(self) -> str:
        return f"{type(self).__name__}({super().__repr__()}, beside {self.beside!r})"
