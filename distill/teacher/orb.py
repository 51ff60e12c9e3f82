"""Orb, the universal potentials of Orbital Materials, through orb-models.

Neumann et al., arXiv:2410.22570 (2024), orb-v2; Rhodes et al., arXiv:2504.06231 (2025), orb-v3.
"""

from __future__ import annotations

import hashlib
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_stress

from distill.charge import charge_of, spin_of
from distill.errors import DistillError, reason
from distill.teacher.base import Label

ATOMS_PER_BATCH = 512  # the omol models keep up to 120 edges of 1024 numbers for each atom
PRECISIONS = ("float32-high", "float32-highest", "float64")
OPTIONS = ("device", "precision", "compile")
# what orb-v2's own weights call the heads
LEGACY_HEADS = {"energy": "graph_head.", "forces": "node_head.", "stress": "stress_head."}


class OrbTeacher:
    """An Orb model as a teacher.

    ``name`` is one that orb-models lists, with '-' or '_'. ``weights`` is a local state dict of
    that model (default: orb-models' own download, kept in its cache). ``options`` may hold
    ``device`` (a GPU if there is one), ``precision`` ("float32-highest", "float32-high",
    "float64") and ``compile`` ("false"). Models that take them get the charge and the
    multiplicity of the geometry. The ``direct`` and the v2 models predict forces that are not
    the derivative of their energy: ``conservative`` is False and ``version`` says so.

    Raises DistillError when orb-models is not installed, for an unknown name or option, and
    when the weights cannot be downloaded, read, or used for this model.
    """

    def __init__(
        self,
        name: str,
        weights: Path | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.name = _hyphens(name)
        loaders = _loaders()
        if self.name not in loaders:
            raise DistillError(f"orb-models has no '{name}'; there are {', '.join(loaders)}.")
        loader = loaders[self.name]
        # orb-models still lists the v1 models, but their loaders only say that they are gone
        parameters = inspect.signature(loader).parameters
        if "compile" not in parameters:
            raise DistillError(f"orb-models no longer brings {self.name}; use orb-v2 instead.")

        device, self._precision, compiled = _settings(dict(options or {}))
        self._device = torch.device(device)
        arguments: dict[str, Any] = {"device": self._device, "compile": compiled}
        if weights is None:
            file = str(parameters["weights_path"].default).rsplit("/", 1)[-1]
        else:
            path = Path(weights).expanduser().resolve()
            file = f"{path.name} (sha256 {_sha256(path)[:12]})"
            arguments["weights_path"] = str(path)
        with _torch_settings(self._precision):
            try:
                self._model = loader(precision=self._precision, **arguments)
            except Exception as error:  # pickle, zip, requests and S3 all have their own
                raise DistillError(_why_not_loaded(self.name, weights, error)) from error
        if weights is not None:
            _check_heads(self.name, path, self._model)

        self.conservative = hasattr(self._model, "grad_forces_name")
        kind = "conservative forces" if self.conservative else "direct, non-conservative forces"
        self.version = f"orb-models {version('orb-models')}, {file}, {self._precision}, {kind}"
        self._takes_charge = self._model.model.conditioner is not None

    def label(self, geometries: Sequence[Atoms]) -> list[Label]:
        """Label geometries, many in one pass; one that fails gets ``Label.error``."""
        labels: dict[int, Label] = {}
        graphs: dict[int, Any] = {}
        with _torch_settings(self._precision):
            for index, atoms in enumerate(geometries):
                try:
                    graphs[index] = self._graph(atoms)
                except Exception as error:  # assertions and torch's own, as orb-models has it
                    labels[index] = self._failed(atoms, error)
            for batch in _batches(graphs, geometries):
                members = [geometries[index] for index in batch]
                try:
                    found = self._predict(members, [graphs[index] for index in batch])
                except Exception:  # find the one that it is: one at a time
                    found = [self._alone(geometries[index], graphs[index]) for index in batch]
                labels.update(zip(batch, found, strict=True))
        return [labels[index] for index in range(len(geometries))]

    def _graph(self, atoms: Atoms) -> Any:
        from orb_models.forcefield.atomic_system import ase_atoms_to_atom_graphs

        if not len(atoms):
            raise ValueError("there are no atoms")
        bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        if self._takes_charge:
            bare.info["charge"] = charge_of(atoms) or 0
            bare.info["spin"] = spin_of(atoms) or 1
        return ase_atoms_to_atom_graphs(
            bare, system_config=self._model.system_config, device=self._device
        )

    def _alone(self, atoms: Atoms, graph: Any) -> Label:
        try:
            return self._predict([atoms], [graph])[0]
        except Exception as error:  # as above
            return self._failed(atoms, error)

    def _predict(self, members: Sequence[Atoms], graphs: Sequence[Any]) -> list[Label]:
        from orb_models.forcefield.base import batch_graphs

        # predict() writes into the graph that it is given, so even a single one is copied
        batch = batch_graphs(list(graphs))
        out = self._model.predict(batch.to(self._device))
        prefix = "grad_" if self.conservative else ""
        energies = _numpy(out["energy"]).reshape(-1)
        sizes = [len(atoms) for atoms in members]
        forces = np.split(_numpy(out[prefix + "forces"]), np.cumsum(sizes)[:-1])
        stresses: Sequence[np.ndarray | None] = [None] * len(members)
        if self._model.has_stress:
            stresses = list(_numpy(out[prefix + "stress"]).reshape(-1, 6))
        return [
            self._checked(atoms, float(energy), force, stress)
            for atoms, energy, force, stress in zip(
                members, energies, forces, stresses, strict=True
            )
        ]

    def _checked(
        self, atoms: Atoms, energy: float, forces: np.ndarray, stress: np.ndarray | None
    ) -> Label:
        # for a molecule the models give a number too, but it means nothing
        full = None
        if stress is not None and atoms.pbc.all():
            full = voigt_6_to_full_3x3_stress(stress)
        try:
            return Label.checked(atoms, energy, forces, full)
        except ValueError as error:
            return self._failed(atoms, error)

    def _failed(self, atoms: Atoms, error: Exception) -> Label:
        return Label.failed(len(atoms), f"{self.name}: {reason(error)}")


def orb_names() -> list[str]:
    """The names that the installed orb-models lists, with hyphens; DistillError without it."""
    return list(_loaders())


def _loaders() -> dict[str, Callable[..., Any]]:
    try:
        from orb_models.forcefield.pretrained import ORB_PRETRAINED_MODELS
    except ImportError as error:
        raise DistillError(
            f"The Orb teachers need orb-models ({error}); `pip install 'mlff-distiller[orb]'`."
        ) from error
    return {_hyphens(name): loader for name, loader in ORB_PRETRAINED_MODELS.items()}


def _hyphens(name: str) -> str:
    return name.replace("_", "-")


def _settings(options: dict[str, str]) -> tuple[str, str, bool]:
    for key in options:
        if key not in OPTIONS:
            raise DistillError(f"Orb has no option '{key}'; there are {', '.join(OPTIONS)}.")
    device = options.get("device", "cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # the latter: torch built without CUDA
        raise DistillError(
            f"torch has no device '{device}' here; leave out the option device or use device=cpu."
        ) from error
    precision = options.get("precision", "float32-highest")
    if precision not in PRECISIONS:
        raise DistillError(
            f"The Orb option precision must be one of {', '.join(PRECISIONS)}, not '{precision}'."
        )
    compiled = options.get("compile", "false").lower()
    if compiled not in ("true", "false"):
        raise DistillError(f"The Orb option compile must be true or false, not '{compiled}'.")
    return device, precision, compiled == "true"


@contextmanager
def _torch_settings(precision: str) -> Iterator[None]:
    """orb-models sets torch's global precision and default type: put ours back afterwards."""
    dtype, matmul = torch.get_default_dtype(), torch.get_float32_matmul_precision()
    try:
        torch.set_default_dtype(torch.float64 if precision == "float64" else torch.float32)
        if precision != "float64":
            torch.set_float32_matmul_precision(precision.removeprefix("float32-"))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*default dtype.*|.*precision=float32-high")
            yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_float32_matmul_precision(matmul)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DistillError(
            f"Cannot read the weights {path}: {error.strerror}; "
            "give --weights the path of a local state dict."
        ) from error


def _why_not_loaded(name: str, weights: Path | None, error: Exception) -> str:
    reason = str(error).split("\n")[0].rstrip(".")
    if not 0 < len(reason) < 120:  # requests puts the whole story on one line
        reason = type(error).__name__
    if weights is None:
        return (
            f"Cannot download the weights of {name} ({reason}); try again with a connection, "
            "or give a local state dict with --weights PATH."
        )
    return (
        f"{weights} is no state dict of {name} ({reason}); "
        "give --weights the file that orb-models offers for that very name."
    )


def _check_heads(name: str, path: Path, model: Any) -> None:
    # orb-models takes weights without heads too, and leaves the heads random
    keys = list(torch.load(path, map_location="meta", weights_only=True))
    for head, legacy in LEGACY_HEADS.items():
        if head in model.heads and not any(k.startswith((f"heads.{head}.", legacy)) for k in keys):
            missing = ValueError(f"it has no {head} head")
            raise DistillError(_why_not_loaded(name, path, missing))


def _batches(graphs: Mapping[int, Any], geometries: Sequence[Atoms]) -> Iterator[list[int]]:
    batch: list[int] = []
    atoms = 0
    for index in graphs:
        if batch and atoms + len(geometries[index]) > ATOMS_PER_BATCH:
            yield batch
            batch, atoms = [], 0
        batch.append(index)
        atoms += len(geometries[index])
    if batch:
        yield batch


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy()
