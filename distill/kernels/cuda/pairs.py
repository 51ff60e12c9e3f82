# mypy: ignore-errors
# (Triton's kernels are a language of their own, which type checkers cannot read)
"""From candidates to pairs: geometry and repulsion of everything within the cutoff.

One program for each atom. Positions are subtracted in float64; the rest of the network needs
float32 only. A list with a skin holds half as many edges again as are within the cutoff: here each
atom's pairs are moved to the front of its part of the arrays, so that the messages touch no others.
"""

import triton
import triton.language as tl

COULOMB = tl.constexpr(14.399645478425668)  # e^2 / (4 pi epsilon_0) in eV Å


@triton.jit(do_not_specialize=["n_atoms"])
def find_pairs(
    positions,  # (N, 3) Å
    row,  # (N + 1,) int32: candidates of atom i are row[i] .. row[i + 1]
    neighbour,  # (E,) int32
    shift,  # (E, 3) Å
    species,  # (N,) int32
    reference,  # (N,) float64, eV
    elements,  # (elements, 3) float64: Z, 1 / screening length, covalent radius
    count,  # out: (N,) int32, pairs of atom i, from row[i] on
    pair_j,  # out: (E,) int32
    pair_first,  # out: (E,) int32, first of the six rows of the filters' tables
    pair_geometry,  # out: (5, E) float32: unit vector, distance, place between two knots
    energies,  # out: (N,) float64: reference and half the repulsion
    forces,  # out: (N, 3) float64
    virial,  # out: (6, N) float64: xx, xy, xz, yy, yz, zz
    n_atoms,
    n_edges,
    CUTOFF: tl.constexpr,
    INTERVALS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One atom's pairs within the cutoff, and its energy, force and virial by repulsion."""
    i = tl.program_id(0)
    start = tl.load(row + i)
    stop = tl.load(row + i + 1)
    xi = tl.load(positions + 3 * i).to(tl.float64)
    yi = tl.load(positions + 3 * i + 1).to(tl.float64)
    zi = tl.load(positions + 3 * i + 2).to(tl.float64)
    element = elements + 3 * tl.load(species + i)
    charge_i = tl.load(element)
    screening_i = tl.load(element + 1)
    radius_i = tl.load(element + 2)

    energy = tl.zeros([BLOCK], tl.float64)
    fx = tl.zeros([BLOCK], tl.float64)
    fy = tl.zeros([BLOCK], tl.float64)
    fz = tl.zeros([BLOCK], tl.float64)
    xx = tl.zeros([BLOCK], tl.float64)
    xy = tl.zeros([BLOCK], tl.float64)
    xz = tl.zeros([BLOCK], tl.float64)
    yy = tl.zeros([BLOCK], tl.float64)
    yz = tl.zeros([BLOCK], tl.float64)
    zz = tl.zeros([BLOCK], tl.float64)
    found = start
    for at in range(start, stop, BLOCK):
        e = at + tl.arange(0, BLOCK)
        here = e < stop
        j = tl.load(neighbour + e, mask=here, other=0)
        x = tl.load(positions + 3 * j, mask=here, other=0.0).to(tl.float64) - xi
        y = tl.load(positions + 3 * j + 1, mask=here, other=0.0).to(tl.float64) - yi
        z = tl.load(positions + 3 * j + 2, mask=here, other=0.0).to(tl.float64) - zi
        x += tl.load(shift + 3 * e, mask=here, other=0.0).to(tl.float64)
        y += tl.load(shift + 3 * e + 1, mask=here, other=0.0).to(tl.float64)
        z += tl.load(shift + 3 * e + 2, mask=here, other=0.0).to(tl.float64)
        r2 = x * x + y * y + z * z
        beyond = r2 >= CUTOFF * CUTOFF
        # written so that a coordinate that is NaN gives NaN, not an atom without neighbours
        keep = here & (beyond == 0)
        r2 = tl.where(keep, r2, 1.0)
        r = tl.sqrt(r2)
        inverse = 1.0 / r
        x *= inverse
        y *= inverse
        z *= inverse

        scaled = r * (INTERVALS / CUTOFF)
        first = tl.minimum(tl.maximum(scaled.to(tl.int32), 0), INTERVALS - 1)
        to = found + tl.cumsum(keep.to(tl.int32), 0) - 1
        tl.store(pair_j + to, j, mask=keep)
        tl.store(pair_first + to, first, mask=keep)
        tl.store(pair_geometry + to, x.to(tl.float32), mask=keep)
        tl.store(pair_geometry + n_edges + to, y.to(tl.float32), mask=keep)
        tl.store(pair_geometry + 2 * n_edges + to, z.to(tl.float32), mask=keep)
        tl.store(pair_geometry + 3 * n_edges + to, r.to(tl.float32), mask=keep)
        between = (scaled - first.to(tl.float64)).to(tl.float32)
        tl.store(pair_geometry + 4 * n_edges + to, between, mask=keep)
        found += tl.sum(keep.to(tl.int32), 0)

        # Ziegler-Biersack-Littmark, see distill/student/zbl.py
        element_j = elements + 3 * tl.load(species + j, mask=here, other=0)
        reach = radius_i + tl.load(element_j + 2)
        screening = screening_i + tl.load(element_j + 1)
        u = r * screening
        e1 = 0.18175 * tl.exp(-3.19980 * u)
        e2 = 0.50986 * tl.exp(-0.94229 * u)
        e3 = 0.28022 * tl.exp(-0.40290 * u)
        e4 = 0.02817 * tl.exp(-0.20162 * u)
        phi = e1 + e2 + e3 + e4
        dphi = -screening * (3.19980 * e1 + 0.94229 * e2 + 0.40290 * e3 + 0.20162 * e4)
        w = r / reach
        q = 1.0 - w
        envelope = q * q * q * (1.0 + w * (3.0 + 6.0 * w))
        denvelope = -30.0 * w * w * q * q / reach
        c = COULOMB * charge_i * tl.load(element_j) * inverse
        near = keep & ((w >= 1.0) == 0)
        energy += tl.where(near, 0.5 * c * phi * envelope, 0.0)
        slope = c * (dphi * envelope + phi * denvelope - phi * envelope * inverse)
        slope = tl.where(near, slope, 0.0)
        fx += slope * x
        fy += slope * y
        fz += slope * z
        # every pair comes twice, once from each of its atoms
        slope *= 0.5 * r
        xx += slope * x * x
        xy += slope * x * y
        xz += slope * x * z
        yy += slope * y * y
        yz += slope * y * z
        zz += slope * z * z

    tl.store(count + i, found - start)
    tl.store(energies + i, tl.sum(energy, 0) + tl.load(reference + i))
    tl.store(forces + 3 * i, tl.sum(fx, 0))
    tl.store(forces + 3 * i + 1, tl.sum(fy, 0))
    tl.store(forces + 3 * i + 2, tl.sum(fz, 0))
    tl.store(virial + i, tl.sum(xx, 0))
    tl.store(virial + n_atoms + i, tl.sum(xy, 0))
    tl.store(virial + 2 * n_atoms + i, tl.sum(xz, 0))
    tl.store(virial + 3 * n_atoms + i, tl.sum(yy, 0))
    tl.store(virial + 4 * n_atoms + i, tl.sum(yz, 0))
    tl.store(virial + 5 * n_atoms + i, tl.sum(zz, 0))
