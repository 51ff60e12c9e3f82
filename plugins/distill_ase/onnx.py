"""``OnnxCalculator``: an exported student in ASE without torch."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from distill.elements import check_known
from distill.errors import DistillError
from distill.student.neighbours import INPUTS, SkinList, exported_inputs


class OnnxCalculator(Calculator):
    """Energy and forces by ONNX Runtime, of a file that ``distill export --format onnx`` wrote.

    It needs onnxruntime, numpy, ASE and vesin; torch is not imported. providers: ONNX Runtime's
    execution providers, by preference ("CUDAExecutionProvider", "TensorrtExecutionProvider",
    "CPUExecutionProvider"). threads: for each operation. skin: Å beyond the cutoff that the
    neighbour list holds.

    Raises DistillError for a file that is no student's, for unknown elements, coordinates that are
    not finite and an empty system.
    """

    implemented_properties = ["energy", "free_energy", "forces"]

    def __init__(
        self,
        file: str | Path,
        providers: Sequence[str] = ("CPUExecutionProvider",),
        threads: int = 1,
        skin: float = 1.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        import onnxruntime

        if not Path(file).is_file():
            raise DistillError(
                f"There is no file {file}; write one: distill export NAME --format onnx -o {file}"
            )
        there = onnxruntime.get_available_providers()
        missing = sorted(set(providers) - set(there))
        if missing:
            raise DistillError(
                f"This ONNX Runtime has no {', '.join(missing)}; it has {', '.join(there)}."
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self.session = onnxruntime.InferenceSession(
                str(file), options, providers=list(providers)
            )
        except Exception as error:  # its own classes, of which the base is Exception
            reason = str(error).strip().splitlines()[0]
            raise DistillError(
                f"{file} cannot be loaded by ONNX Runtime {onnxruntime.__version__} ({reason}); "
                "export it again, or use a newer onnxruntime."
            ) from error
        card = self.session.get_modelmeta().custom_metadata_map.get("distill")
        if card is None:
            raise DistillError(f"{file} is not a student: it was not written by distill export.")
        self.card: dict[str, Any] = json.loads(card)
        self._neighbours = SkinList(self.card["cutoff"], skin)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """ASE's entry."""
        super().calculate(atoms, properties, system_changes)
        assert self.atoms is not None, "ASE's Calculator keeps a copy"
        atoms = self.atoms
        if len(atoms) == 0:
            raise DistillError("The system has no atoms; give it at least one.")
        check_known(atoms.numbers, self.card["elements"])
        edges = self._neighbours.update(atoms.positions, atoms.cell.array, atoms.pbc)
        inputs = exported_inputs(atoms.positions, atoms.numbers, edges, self.card["cutoff"])
        energy, forces = self.session.run(["energy", "forces"], dict(zip(INPUTS, inputs)))
        self.results = {
            "energy": float(energy), "free_energy": float(energy),
            "forces": forces.astype(np.float64),
        }  # fmt: skip
