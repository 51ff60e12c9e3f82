"""Data: molecules, geometries, labels and the dataset file."""

from distill.data.dataset import Dataset, MoleculeData, TeacherRecord
from distill.data.label import LabelReport, Task, label, run_task, task_key
from distill.data.molecules import Molecule, check, from_rdkit, from_smiles, read_molecules
from distill.data.sampling import Frame, Sampling, chunks, sample
from distill.data.thinning import thin

__all__ = [
    "Dataset",
    "Frame",
    "LabelReport",
    "Molecule",
    "MoleculeData",
    "Sampling",
    "Task",
    "TeacherRecord",
    "check",
    "chunks",
    "from_rdkit",
    "from_smiles",
    "label",
    "read_molecules",
    "run_task",
    "sample",
    "task_key",
    "thin",
]
