# mypy: ignore-errors
# (Triton's kernels are a language of their own, which type checkers cannot read)
"""The message block, forward and back, as sums over each atom's own pairs.

One program for each atom, which takes EDGES of its pairs at a time, as tiles of pairs x features.
Both directions of a pair are listed, so the way back is a sum over the atom's own pairs, too: what
the atom gave to j is found in its pair with j. Nothing is ever added to another atom's memory, no
atomic operation is needed, and results are the same in every run.
"""

import triton
import triton.language as tl


@triton.jit
def b_splines(t):
    """The six quintic B-splines that are not zero at t between two knots."""
    s = 1.0 - t
    s2 = s * s
    t2 = t * t
    t4 = t2 * t2
    b0 = s2 * s2 * s * (1.0 / 120.0)
    b1 = (26.0 + t * (-50.0 + t * (20.0 + t * (20.0 + t * (-20.0 + 5.0 * t))))) * (1.0 / 120.0)
    b2 = (66.0 + t2 * (-60.0 + t2 * (30.0 - 10.0 * t))) * (1.0 / 120.0)
    b3 = (26.0 + t * (50.0 + t * (20.0 + t * (-20.0 + t * (-20.0 + 10.0 * t))))) * (1.0 / 120.0)
    b4 = (1.0 + t * (5.0 + t * (10.0 + t * (10.0 + t * (5.0 - 5.0 * t))))) * (1.0 / 120.0)
    b5 = t4 * t * (1.0 / 120.0)
    return b0, b1, b2, b3, b4, b5


@triton.jit
def b_spline_slopes(t):
    """Their derivatives by t."""
    s = 1.0 - t
    s2 = s * s
    t2 = t * t
    d0 = s2 * s2 * (-1.0 / 24.0)
    d1 = (-10.0 + t * (8.0 + t * (12.0 + t * (-16.0 + 5.0 * t)))) * (1.0 / 24.0)
    d2 = t * (-24.0 + t2 * (24.0 - 10.0 * t)) * (1.0 / 24.0)
    d3 = (10.0 + t * (8.0 + t * (-12.0 + t * (-16.0 + 10.0 * t)))) * (1.0 / 24.0)
    d4 = (1.0 + t * (4.0 + t * (6.0 + t * (4.0 - 5.0 * t)))) * (1.0 / 24.0)
    d5 = t2 * t2 * (1.0 / 24.0)
    return d0, d1, d2, d3, d4, d5


@triton.jit
def spread(x):
    """(pairs,) to (pairs, 1)."""
    return x[:, None]


@triton.jit
def filters(at, here, ROW: tl.constexpr, b0, b1, b2, b3, b4, b5):
    """A filter (pairs, features): at points at the first of the six rows."""
    even = b0 * tl.load(at, mask=here, other=0.0)
    odd = b1 * tl.load(at + ROW, mask=here, other=0.0)
    even += b2 * tl.load(at + 2 * ROW, mask=here, other=0.0)
    odd += b3 * tl.load(at + 3 * ROW, mask=here, other=0.0)
    even += b4 * tl.load(at + 4 * ROW, mask=here, other=0.0)
    odd += b5 * tl.load(at + 5 * ROW, mask=here, other=0.0)
    return even + odd


@triton.jit
def filters_and_slopes(at, here, ROW: tl.constexpr, b0, b1, b2, b3, b4, b5, d0, d1, d2, d3, d4, d5):
    """A filter and its derivative by the distance: each row is loaded once."""
    c0 = tl.load(at, mask=here, other=0.0)
    c1 = tl.load(at + ROW, mask=here, other=0.0)
    c2 = tl.load(at + 2 * ROW, mask=here, other=0.0)
    c3 = tl.load(at + 3 * ROW, mask=here, other=0.0)
    c4 = tl.load(at + 4 * ROW, mask=here, other=0.0)
    c5 = tl.load(at + 5 * ROW, mask=here, other=0.0)
    value = (b0 * c0 + b2 * c2 + b4 * c4) + (b1 * c1 + b3 * c3 + b5 * c5)
    slope = (d0 * c0 + d2 * c2 + d4 * c4) + (d1 * c1 + d3 * c3 + d5 * c5)
    return value, slope


@triton.jit
def message_forward(
    row,  # (N + 1,) int32
    count,  # (N,) int32
    pair_j,  # (E,) int32
    pair_first,  # (E,) int32
    pair_geometry,  # (5, E) float32
    species,  # (N,) int32
    table,  # (intervals + 5, PARTS, F)
    phi,  # (N, 3, F), or (elements, 2, F) in the first layer
    s,  # (N, F), or the embedding (elements, F)
    v,  # (N, 3, F); not read in the first layer, where it is zero
    s_out,  # out: (N, F)
    v_out,  # out: (N, 3, F)
    n_edges,
    F: tl.constexpr,
    FIRST: tl.constexpr,
    EDGES: tl.constexpr,
):
    """One atom's scalars and vectors, and what its neighbours have told it."""
    PARTS: tl.constexpr = 2 if FIRST else 3
    ROW: tl.constexpr = PARTS * F
    i = tl.program_id(0)
    start = tl.load(row + i)
    stop = start + tl.load(count + i)
    c = tl.arange(0, F)
    columns = c[None, :]
    ds = tl.zeros([EDGES, F], tl.float32)
    dx = tl.zeros([EDGES, F], tl.float32)
    dy = tl.zeros([EDGES, F], tl.float32)
    dz = tl.zeros([EDGES, F], tl.float32)
    for at in range(start, stop, EDGES):
        e = at + tl.arange(0, EDGES)
        inside = e < stop
        here = spread(inside)
        j = tl.load(pair_j + e, mask=inside, other=0)
        first = tl.load(pair_first + e, mask=inside, other=0)
        ux = spread(tl.load(pair_geometry + e, mask=inside, other=0.0))
        uy = spread(tl.load(pair_geometry + n_edges + e, mask=inside, other=0.0))
        uz = spread(tl.load(pair_geometry + 2 * n_edges + e, mask=inside, other=0.0))
        t = spread(tl.load(pair_geometry + 4 * n_edges + e, mask=inside, other=0.0))
        b0, b1, b2, b3, b4, b5 = b_splines(t)
        rows = table + spread(first) * ROW + columns
        if FIRST:
            spoken = tl.load(species + j, mask=inside, other=0)
        else:
            spoken = j
        phi_j = phi + spread(spoken) * ROW + columns

        f = filters(rows, here, ROW, b0, b1, b2, b3, b4, b5)
        ds += f * tl.load(phi_j, mask=here, other=0.0)
        f = filters(rows + F, here, ROW, b0, b1, b2, b3, b4, b5)
        along = f * tl.load(phi_j + F, mask=here, other=0.0)
        dx += along * ux
        dy += along * uy
        dz += along * uz
        if not FIRST:
            f = filters(rows + 2 * F, here, ROW, b0, b1, b2, b3, b4, b5)
            gate = f * tl.load(phi_j + 2 * F, mask=here, other=0.0)
            v_j = v + spread(j) * (3 * F) + columns
            dx += gate * tl.load(v_j, mask=here, other=0.0)
            dy += gate * tl.load(v_j + F, mask=here, other=0.0)
            dz += gate * tl.load(v_j + 2 * F, mask=here, other=0.0)

    s_sum = tl.sum(ds, 0)
    x_sum = tl.sum(dx, 0)
    y_sum = tl.sum(dy, 0)
    z_sum = tl.sum(dz, 0)
    if FIRST:
        s_sum += tl.load(s + tl.load(species + i) * F + c)
    else:
        s_sum += tl.load(s + i * F + c)
        x_sum += tl.load(v + i * (3 * F) + c)
        y_sum += tl.load(v + i * (3 * F) + F + c)
        z_sum += tl.load(v + i * (3 * F) + 2 * F + c)
    tl.store(s_out + i * F + c, s_sum)
    tl.store(v_out + i * (3 * F) + c, x_sum)
    tl.store(v_out + i * (3 * F) + F + c, y_sum)
    tl.store(v_out + i * (3 * F) + 2 * F + c, z_sum)


@triton.jit(do_not_specialize=["n_atoms"])
def message_backward(
    row,  # (N + 1,) int32
    count,  # (N,) int32
    pair_j,  # (E,) int32
    pair_first,  # (E,) int32
    pair_geometry,  # (5, E) float32
    species,  # (N,) int32
    table,  # (intervals + 5, PARTS, F)
    phi,  # (N, 3, F), or (elements, 2, F) in the first layer
    v,  # (N, 3, F); not read in the first layer
    gs,  # (N, F): dE by the message's s_out
    gv,  # (N, 3, F): dE by its v_out
    gphi,  # out: (N, 3, F), not in the first layer
    gv_in,  # out: (N, 3, F): dE by v, not in the first layer
    forces,  # added to: (N, 3) float64
    virial,  # added to: (6, N) float64: xx, xy, xz, yy, yz, zz
    n_atoms,
    n_edges,
    SPACING: tl.constexpr,  # Å between two knots
    F: tl.constexpr,
    FIRST: tl.constexpr,
    EDGES: tl.constexpr,
):
    """What one atom's pairs add to dE by the message's arguments and by the positions."""
    PARTS: tl.constexpr = 2 if FIRST else 3
    ROW: tl.constexpr = PARTS * F
    i = tl.program_id(0)
    start = tl.load(row + i)
    stop = start + tl.load(count + i)
    c = tl.arange(0, F)
    columns = c[None, :]
    if FIRST:
        spoken_i = tl.load(species + i)
    else:
        spoken_i = i
    phi0_i = tl.load(phi + spoken_i * ROW + columns)
    phi1_i = tl.load(phi + spoken_i * ROW + F + columns)
    gs_i = tl.load(gs + i * F + columns)
    gx_i = tl.load(gv + i * (3 * F) + columns)
    gy_i = tl.load(gv + i * (3 * F) + F + columns)
    gz_i = tl.load(gv + i * (3 * F) + 2 * F + columns)
    if not FIRST:
        phi2_i = tl.load(phi + spoken_i * ROW + 2 * F + columns)
        x_i = tl.load(v + i * (3 * F) + columns)
        y_i = tl.load(v + i * (3 * F) + F + columns)
        z_i = tl.load(v + i * (3 * F) + 2 * F + columns)
        gphi0 = tl.zeros([EDGES, F], tl.float32)
        gphi1 = tl.zeros([EDGES, F], tl.float32)
        gphi2 = tl.zeros([EDGES, F], tl.float32)
        gx = tl.zeros([EDGES, F], tl.float32)
        gy = tl.zeros([EDGES, F], tl.float32)
        gz = tl.zeros([EDGES, F], tl.float32)
    fx = tl.zeros([EDGES], tl.float32)
    fy = tl.zeros([EDGES], tl.float32)
    fz = tl.zeros([EDGES], tl.float32)
    xx = tl.zeros([EDGES], tl.float32)
    xy = tl.zeros([EDGES], tl.float32)
    xz = tl.zeros([EDGES], tl.float32)
    yy = tl.zeros([EDGES], tl.float32)
    yz = tl.zeros([EDGES], tl.float32)
    zz = tl.zeros([EDGES], tl.float32)
    for at in range(start, stop, EDGES):
        e = at + tl.arange(0, EDGES)
        inside = e < stop
        here = spread(inside)
        j = tl.load(pair_j + e, mask=inside, other=0)
        first = tl.load(pair_first + e, mask=inside, other=0)
        u_x = tl.load(pair_geometry + e, mask=inside, other=0.0)
        u_y = tl.load(pair_geometry + n_edges + e, mask=inside, other=0.0)
        u_z = tl.load(pair_geometry + 2 * n_edges + e, mask=inside, other=0.0)
        r = tl.load(pair_geometry + 3 * n_edges + e, mask=inside, other=1.0)
        t = spread(tl.load(pair_geometry + 4 * n_edges + e, mask=inside, other=0.0))
        ux = spread(u_x)
        uy = spread(u_y)
        uz = spread(u_z)
        b0, b1, b2, b3, b4, b5 = b_splines(t)
        d0, d1, d2, d3, d4, d5 = b_spline_slopes(t)
        rows = table + spread(first) * ROW + columns
        if FIRST:
            spoken = tl.load(species + j, mask=inside, other=0)
        else:
            spoken = j
        phi_j = phi + spread(spoken) * ROW + columns
        # what lies beyond the last pair is zero: it then adds nothing below
        gs_j = tl.load(gs + spread(j) * F + columns, mask=here, other=0.0)
        gx_j = tl.load(gv + spread(j) * (3 * F) + columns, mask=here, other=0.0)
        gy_j = tl.load(gv + spread(j) * (3 * F) + F + columns, mask=here, other=0.0)
        gz_j = tl.load(gv + spread(j) * (3 * F) + 2 * F + columns, mask=here, other=0.0)

        # scalars: from j to i, and from i to j
        f, df = filters_and_slopes(rows, here, ROW, b0, b1, b2, b3, b4, b5, d0, d1, d2, d3, d4, d5)
        phi0_j = tl.load(phi_j, mask=here, other=0.0)
        slope = df * (gs_i * phi0_j + gs_j * phi0_i)
        if not FIRST:
            gphi0 += f * gs_j

        # vectors along the bond, which from i to j is -u
        f, df = filters_and_slopes(
            rows + F, here, ROW, b0, b1, b2, b3, b4, b5, d0, d1, d2, d3, d4, d5
        )
        phi1_j = tl.load(phi_j + F, mask=here, other=0.0)
        along_i = gx_i * ux + gy_i * uy + gz_i * uz
        along_j = gx_j * ux + gy_j * uy + gz_j * uz
        slope += df * (along_i * phi1_j - along_j * phi1_i)
        if not FIRST:
            gphi1 -= f * along_j
        tx = tl.sum(f * (phi1_j * gx_i - phi1_i * gx_j), 1)
        ty = tl.sum(f * (phi1_j * gy_i - phi1_i * gy_j), 1)
        tz = tl.sum(f * (phi1_j * gz_i - phi1_i * gz_j), 1)

        # the neighbours' vectors, let through
        if not FIRST:
            f, df = filters_and_slopes(
                rows + 2 * F, here, ROW, b0, b1, b2, b3, b4, b5, d0, d1, d2, d3, d4, d5
            )
            phi2_j = tl.load(phi_j + 2 * F, mask=here, other=0.0)
            v_j = v + spread(j) * (3 * F) + columns
            to_i = gx_i * tl.load(v_j, mask=here, other=0.0)
            to_i += gy_i * tl.load(v_j + F, mask=here, other=0.0)
            to_i += gz_i * tl.load(v_j + 2 * F, mask=here, other=0.0)
            to_j = gx_j * x_i + gy_j * y_i + gz_j * z_i
            slope += df * (to_i * phi2_j + to_j * phi2_i)
            gphi2 += f * to_j
            gate = f * phi2_i
            gx += gate * gx_j
            gy += gate * gy_j
            gz += gate * gz_j

        # dE by the pair's vector, both directions together: along the bond, and across it, where
        # the unit vector turns
        inverse = 1.0 / r
        radial = tl.sum(slope, 1) * (1.0 / SPACING) - inverse * (tx * u_x + ty * u_y + tz * u_z)
        g_x = radial * u_x + inverse * tx
        g_y = radial * u_y + inverse * ty
        g_z = radial * u_z + inverse * tz
        fx += g_x
        fy += g_y
        fz += g_z
        # the virial of all atoms is symmetric, so that six sums do. The pair comes again, seen
        # from j: half of it is taken here
        half = 0.5 * r
        xx += half * u_x * g_x
        yy += half * u_y * g_y
        zz += half * u_z * g_z
        half *= 0.5
        xy += half * (u_x * g_y + u_y * g_x)
        xz += half * (u_x * g_z + u_z * g_x)
        yz += half * (u_y * g_z + u_z * g_y)

    if not FIRST:
        tl.store(gphi + i * (3 * F) + c, tl.sum(gphi0, 0))
        tl.store(gphi + i * (3 * F) + F + c, tl.sum(gphi1, 0))
        tl.store(gphi + i * (3 * F) + 2 * F + c, tl.sum(gphi2, 0))
        # vectors also go straight on
        tl.store(gv_in + i * (3 * F) + columns, gx_i + tl.sum(gx, 0)[None, :])
        tl.store(gv_in + i * (3 * F) + F + columns, gy_i + tl.sum(gy, 0)[None, :])
        tl.store(gv_in + i * (3 * F) + 2 * F + columns, gz_i + tl.sum(gz, 0)[None, :])
    add(forces + 3 * i, fx)
    add(forces + 3 * i + 1, fy)
    add(forces + 3 * i + 2, fz)
    add(virial + i, xx)
    add(virial + n_atoms + i, xy)
    add(virial + 2 * n_atoms + i, xz)
    add(virial + 3 * n_atoms + i, yy)
    add(virial + 4 * n_atoms + i, yz)
    add(virial + 5 * n_atoms + i, zz)


@triton.jit
def add(to, terms):
    """Adds the sum of (pairs,) float32 to one float64, which no other program touches."""
    tl.store(to, tl.load(to) + tl.sum(terms, 0).to(tl.float64))
