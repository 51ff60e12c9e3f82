"""The trials of `hard_use.py`: each module maltreats the programs in one way."""
