"""GFN2-xTB in tblite, in double precision; the only method here that is quantum mechanics.

Variant: ``gfn2``.
"""

import common


def build(variant: str, threads: int) -> common.Potential:
    """The calculator of tblite's own."""
    from tblite.ase import TBLite

    return common.Potential(
        common.through_ase(TBLite(method="GFN2-xTB", verbosity=0)),
        through="tblite's ASE calculator",
        packages=("tblite",),
        model="GFN2-xTB",
        note="float64; each call starts from the last wave function",
    )


if __name__ == "__main__":
    common.main(build)
