"""22 dimers at 0.9, 1.0, 1.2, 1.5 and 2.0 times their distance at equilibrium, from ASE.

Geometries and CCSD(T) interaction energies: Jurecka et al., Phys. Chem. Chem. Phys. 8, 1985 (2006);
Takatani et al., J. Chem. Phys. 132, 144104 (2010); Grafova et al., J. Chem. Theory Comput. 6, 2365
(2010), scaled so that 1.0 has Takatani's energy.
"""

from ase.data import s22

from yardstick.truth import Reaction, Truth
from yardstick.who import KCAL

DISTANCES = ("0.9", "1.0", "1.2", "1.5", "2.0")


def s22x5() -> Truth:
    """As one set of reactions, dimer less monomers, and one for each distance."""
    truth = Truth(reactions={"S22x5": [], **{f"S22x5, {d}": [] for d in DISTANCES}})
    for name in s22.s22:
        first, _ = s22.get_number_of_dimer_atoms(name)
        for distance in DISTANCES:
            key = f"S22x5/{name}/{distance}"
            dimer = s22.create_s22_system(name, distance)
            parts = {key: dimer, f"{key}/a": dimer[:first], f"{key}/b": dimer[first:]}
            truth.structures |= parts
            reference = s22.get_interaction_energy_s22x5(name, distance) / KCAL
            reaction = Reaction(f"{name} {distance}", tuple(parts), (1.0, -1.0, -1.0), reference)
            truth.reactions["S22x5"].append(reaction)
            truth.reactions[f"S22x5, {distance}"].append(reaction)
    return truth
