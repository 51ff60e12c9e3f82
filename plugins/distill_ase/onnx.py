"""``OnnxCalculator``: an exported student in ASE without torch."""

import ctypes
import json
import os
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from distill.charge import charge_of, check_charge, spin_of
from distill.elements import check_known
from distill.engine_arguments import check_skin, check_threads
from distill.errors import DistillError, first_line
from distill.seal import onnx_intact
from distill.student.neighbours import INPUTS, SkinList, exported_inputs, refuse_overlap


class OnnxCalculator(Calculator):
    """Energy and forces by ONNX Runtime, of a file that ``distill export --format onnx`` wrote.

    It needs onnxruntime, numpy, ASE and vesin; torch is not imported. providers: ONNX Runtime's
    execution providers, by preference ("CUDAExecutionProvider", "TensorrtExecutionProvider",
    "CPUExecutionProvider"). threads: for each operation. skin: Å beyond the cutoff that the
    neighbour list holds. It may be pickled and copied: the file's bytes go with it.

    Raises DistillError for a file that is no student's, for unknown elements, a charge that is no
    whole number or that the student has not learned, atoms closer than 0.3 Å, coordinates that are
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
        threads, skin = check_threads(threads), check_skin(skin)
        self._model = Model(read_file(file), providers, threads, str(file))
        self.card = self._model.card
        self._neighbours = SkinList(self.card["cutoff"], skin)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """ASE's entry."""
        super().calculate(atoms, properties, system_changes)
        atoms = self.atoms  # a copy that ASE keeps
        if atoms is None:
            raise DistillError("The calculator has no atoms yet; set atoms.calc to it.")
        if len(atoms) == 0:
            raise DistillError("The system has no atoms; give it at least one.")
        check_known(atoms.numbers, self.card["elements"])
        check_charge(charge_of(atoms), self.card.get("charges"))
        spin_of(atoms)
        edges = self._neighbours.update(atoms.positions, atoms.cell.array, atoms.pbc)
        refuse_overlap(atoms.positions, edges)
        inputs = exported_inputs(atoms.positions, atoms.numbers, edges, self.card["cutoff"])
        energy, forces = self._model.run(inputs)
        self.results = {
            "energy": float(energy), "free_energy": float(energy),
            "forces": forces.astype(np.float64),
        }  # fmt: skip


class Model:
    """An exported student in a session of ONNX Runtime, which cannot be pickled or forked itself.

    Pickles hold the file's bytes; deep copies share the session, which nothing changes. card: the
    student's.
    """

    def __init__(self, content: bytes, providers: Sequence[str], threads: int, name: str):
        self._made_of = (content, tuple(providers), threads, name)
        self._session = self._start()
        MODELS.add(self)
        try:
            found = self._session.get_modelmeta().custom_metadata_map
            self.card: dict[str, Any] = json.loads(found["distill"])
            self.card["elements"], self.card["cutoff"]
        except (KeyError, TypeError, ValueError) as error:  # no text, or no JSON
            raise DistillError(
                f"{name} is not a student: it was not written by distill export, or is damaged."
            ) from error

    def __reduce__(self) -> tuple[Any, ...]:
        return Model, self._made_of

    def __deepcopy__(self, memo: Any) -> "Model":
        return self

    def run(self, inputs: Sequence[Any]) -> tuple[Any, Any]:
        """Energy () and forces (N, 3) of INPUTS."""
        if self._session is None:
            self._session = self._start()
        energy, forces = self._session.run(["energy", "forces"], dict(zip(INPUTS, inputs)))
        return energy, forces

    def _start(self) -> Any:
        import onnxruntime

        content, providers, threads, name = self._made_of
        there = onnxruntime.get_available_providers()
        missing = sorted(set(providers) - set(there))
        if missing:
            raise DistillError(
                f"This ONNX Runtime has no {', '.join(missing)}; it has {', '.join(there)}."
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            return onnxruntime.InferenceSession(content, options, providers=list(providers))
        except Exception as error:  # its own classes, of which the base is Exception
            raise DistillError(
                f"{name} cannot be loaded by ONNX Runtime {onnxruntime.__version__} "
                f"({first_line(error)}); export it again, or use a newer onnxruntime."
            ) from error


MODELS: "weakref.WeakSet[Model]" = weakref.WeakSet()


def _forget_sessions() -> None:
    """In a forked process, which has not their threads: even their end would wait for these."""
    for model in MODELS:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(model._session))  # never ends
        model._session = None


os.register_at_fork(after_in_child=_forget_sessions)


def read_file(file: str | Path) -> bytes:
    """Of an exported student; DistillError for what is no ONNX file at first sight, or damaged."""
    path = Path(file)
    if path.suffix == ".safetensors":
        raise DistillError(
            f"{file} is a student file, not what this calculator runs; use StudentCalculator, or "
            f"export it: distill export {file} --format onnx -o {path.with_suffix('.onnx')}"
        )
    if not path.is_file():
        raise DistillError(
            f"There is no file {file}; write one: distill export NAME --format onnx "
            f"-o {path.with_suffix('.onnx')}"
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DistillError(f"{file} cannot be read ({error.strerror}); copy it again.") from error
    if not onnx_intact(content):
        raise DistillError(f"{file} is damaged: its checksum is wrong; copy or export it again.")
    return content
