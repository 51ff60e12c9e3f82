"""The shipped students, and how they are made: ``python -m distill.pretrained.make``."""
