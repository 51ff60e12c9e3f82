"""Students in LAMMPS."""
