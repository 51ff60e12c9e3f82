"""Teachers: what labels geometries with energies and forces."""

from distill.teacher.base import Label, Teacher, TeacherSpec, load_teacher, teacher_names

__all__ = ["Label", "Teacher", "TeacherSpec", "load_teacher", "teacher_names"]
