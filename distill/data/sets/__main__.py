"""Prints sets as .smi lines: ``python -m distill.data.sets drugs:test dipeptides:train``."""

import sys

from distill.data.sets import read_set
from distill.errors import DistillError

try:
    for source in sys.argv[1:] or [""]:
        for molecule in read_set(source):
            print(molecule.smiles, molecule.name)
except DistillError as problem:
    print(problem, file=sys.stderr)
    sys.exit(2)
