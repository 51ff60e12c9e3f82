"""The student: PaiNN, its sizes, its neighbour lists and its file format."""

from distill.student.config import SIZES, StudentConfig
from distill.student.file import load_student, save_student
from distill.student.student import Student

__all__ = ["SIZES", "Student", "StudentConfig", "load_student", "save_student"]
