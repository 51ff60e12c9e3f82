# mypy: ignore-errors
# (Triton's kernels are a language of their own, which type checkers cannot read)
"""The dense layers, forward and back, on blocks of atoms; intermediate results stay in registers.

Between two messages lies one kernel each way: the update and the next message's network forward,
the same in reverse back. After the last message the way forward turns round inside one kernel.
"""

import triton
import triton.language as tl


@triton.jit
def times(x, w, K: tl.constexpr, N: tl.constexpr, PRECISION: tl.constexpr):
    """x (atoms, K) times the weights w (K, N)."""
    tile = tl.load(w + tl.arange(0, K)[:, None] * N + tl.arange(0, N)[None, :])
    return tl.dot(x, tile, input_precision=PRECISION)


@triton.jit
def times_transposed(x, w, K: tl.constexpr, N: tl.constexpr, PRECISION: tl.constexpr):
    """x (atoms, N) times the transposed weights w (K, N): the way back of `times`."""
    tile = tl.load(w + tl.arange(0, K)[:, None] * N + tl.arange(0, N)[None, :])
    return tl.dot(x, tl.trans(tile), input_precision=PRECISION)


@triton.jit
def silu(x):
    """x sigmoid(x) and its derivative."""
    sigmoid = 1.0 / (1.0 + tl.exp(-x))
    return x * sigmoid, sigmoid * (1.0 + x * (1.0 - sigmoid))


@triton.jit
def mixed_vectors(v, mix, here, F: tl.constexpr, PRECISION: tl.constexpr):
    """U and V of the paper, by components; v points at (atoms, F), the x components."""
    v_x = tl.load(v, mask=here, other=0.0)
    v_y = tl.load(v + F, mask=here, other=0.0)
    v_z = tl.load(v + 2 * F, mask=here, other=0.0)
    u_x = times(v_x, mix, F, F, PRECISION)
    u_y = times(v_y, mix, F, F, PRECISION)
    u_z = times(v_z, mix, F, F, PRECISION)
    w_x = times(v_x, mix + F * F, F, F, PRECISION)
    w_y = times(v_y, mix + F * F, F, F, PRECISION)
    w_z = times(v_z, mix + F * F, F, F, PRECISION)
    return u_x, u_y, u_z, w_x, w_y, w_z


@triton.jit
def update_hidden(
    s, norm, a1, a1_b, F: tl.constexpr, H: tl.constexpr, PRECISION: tl.constexpr
):
    """The update's hidden layer (atoms, H), and its derivative by what enters the SiLU."""
    p = times(s, a1, F, H, PRECISION) + times(norm, a1 + F * H, F, H, PRECISION)
    return silu(p + tl.load(a1_b + tl.arange(0, H))[None, :])


@triton.jit
def update_output(
    t, a2, a2_b, PART: tl.constexpr, F: tl.constexpr, H: tl.constexpr, PRECISION: tl.constexpr
):
    """One part (atoms, F) of what the update's network says."""
    bias = tl.load(a2_b + PART * F + tl.arange(0, F))[None, :]
    return times(t, a2 + PART * H * F, H, F, PRECISION) + bias


@triton.jit
def dense_forward(
    s,  # (N, F) after this layer's message
    v,  # (N, 3, F)
    mix,  # (2, F, F) and the other weights of this layer's update
    a1,
    a1_b,
    a2,
    a2_b,
    phi1,  # (F, F) and the other weights of the next layer's message network
    phi1_b,
    phi2,
    phi2_b,
    s_out,  # out: (N, F) after the update
    v_out,  # out: (N, 3, F)
    phi,  # out: (N, 3, F)
    kept,  # out: (N, 9, F) for the way back: U, V, norm, a[1], a[2]
    da,  # out: (N, H): the update network's silu'
    dphi,  # out: (N, F): the message network's silu'
    n_atoms,
    F: tl.constexpr,
    H: tl.constexpr,
    ATOMS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    atom = tl.program_id(0) * ATOMS + tl.arange(0, ATOMS)[:, None]
    here = atom < n_atoms
    c = tl.arange(0, F)[None, :]
    at1 = atom * F + c
    at3 = atom * (3 * F) + c
    at9 = atom * (9 * F) + c
    at_h = atom * H + tl.arange(0, H)[None, :]

    u_x, u_y, u_z, w_x, w_y, w_z = mixed_vectors(v + at3, mix, here, F, PRECISION)
    # the small constant keeps the norm's gradient finite for an atom without neighbours
    norm = tl.sqrt(w_x * w_x + w_y * w_y + w_z * w_z + 1e-8)
    dot = u_x * w_x + u_y * w_y + u_z * w_z
    tl.store(kept + at9, u_x, mask=here)
    tl.store(kept + at9 + F, u_y, mask=here)
    tl.store(kept + at9 + 2 * F, u_z, mask=here)
    tl.store(kept + at9 + 3 * F, w_x, mask=here)
    tl.store(kept + at9 + 4 * F, w_y, mask=here)
    tl.store(kept + at9 + 5 * F, w_z, mask=here)
    tl.store(kept + at9 + 6 * F, norm, mask=here)

    s_mid = tl.load(s + at1, mask=here, other=0.0)
    t, dt = update_hidden(s_mid, norm, a1, a1_b, F, H, PRECISION)
    tl.store(da + at_h, dt, mask=here)
    gate = update_output(t, a2, a2_b, 1, F, H, PRECISION)
    tl.store(kept + at9 + 7 * F, gate, mask=here)
    s_new = s_mid + update_output(t, a2, a2_b, 0, F, H, PRECISION) + gate * dot
    tl.store(s_out + at1, s_new, mask=here)
    gate = update_output(t, a2, a2_b, 2, F, H, PRECISION)
    tl.store(kept + at9 + 8 * F, gate, mask=here)
    # loaded again: cheaper than keeping them in registers all the way
    v_x = tl.load(v + at3, mask=here, other=0.0) + gate * u_x
    v_y = tl.load(v + at3 + F, mask=here, other=0.0) + gate * u_y
    v_z = tl.load(v + at3 + 2 * F, mask=here, other=0.0) + gate * u_z
    tl.store(v_out + at3, v_x, mask=here)
    tl.store(v_out + at3 + F, v_y, mask=here)
    tl.store(v_out + at3 + 2 * F, v_z, mask=here)

    h = times(s_new, phi1, F, F, PRECISION) + tl.load(phi1_b + c)
    g, dg = silu(h)
    tl.store(dphi + at1, dg, mask=here)
    for part in tl.static_range(3):
        spoken = times(g, phi2 + part * F * F, F, F, PRECISION) + tl.load(phi2_b + part * F + c)
        tl.store(phi + at3 + part * F, spoken, mask=here)


@triton.jit
def dense_turn(
    s,  # (N, F) after the last message
    v,  # (N, 3, F)
    mix,  # (2, F, F) and the other weights of the last update
    a1,
    a1_b,
    a2,
    a2_b,
    read1,  # (F, H) and the other weights of the readout
    read1_b,
    read2,
    energies,  # added to: (N,) float64
    gs,  # out: (N, F): dE by s
    gv,  # out: (N, 3, F): dE by v
    n_atoms,
    F: tl.constexpr,
    H: tl.constexpr,
    ATOMS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    atoms = tl.program_id(0) * ATOMS + tl.arange(0, ATOMS)
    atom = atoms[:, None]
    here = atom < n_atoms
    c = tl.arange(0, F)[None, :]
    at1 = atom * F + c
    at3 = atom * (3 * F) + c

    u_x, u_y, u_z, w_x, w_y, w_z = mixed_vectors(v + at3, mix, here, F, PRECISION)
    norm = tl.sqrt(w_x * w_x + w_y * w_y + w_z * w_z + 1e-8)
    dot = u_x * w_x + u_y * w_y + u_z * w_z
    s_mid = tl.load(s + at1, mask=here, other=0.0)
    t, dt = update_hidden(s_mid, norm, a1, a1_b, F, H, PRECISION)
    gate = update_output(t, a2, a2_b, 1, F, H, PRECISION)
    s_new = s_mid + update_output(t, a2, a2_b, 0, F, H, PRECISION) + gate * dot

    ch = tl.arange(0, H)
    h = times(s_new, read1, F, H, PRECISION) + tl.load(read1_b + ch)[None, :]
    y, dy = silu(h)
    last = tl.load(read2 + ch)[None, :]
    inside = atoms < n_atoms
    energy = tl.load(energies + atoms, mask=inside, other=0.0)
    energy += tl.sum(y * last, 1).to(tl.float64)
    tl.store(energies + atoms, energy, mask=inside)

    # from here on back
    g = times_transposed(dy * last, read1, F, H, PRECISION)
    gt = times_transposed(g, a2, H, F, PRECISION)
    gt += times_transposed(g * dot, a2 + H * F, H, F, PRECISION)
    gt *= dt
    tl.store(gs + at1, g + times_transposed(gt, a1, F, H, PRECISION), mask=here)
    by_norm = times_transposed(gt, a1 + F * H, F, H, PRECISION) / norm
    through = g * gate
    back = times_transposed(through * w_x, mix, F, F, PRECISION)
    back += times_transposed(through * u_x + by_norm * w_x, mix + F * F, F, F, PRECISION)
    tl.store(gv + at3, back, mask=here)
    back = times_transposed(through * w_y, mix, F, F, PRECISION)
    back += times_transposed(through * u_y + by_norm * w_y, mix + F * F, F, F, PRECISION)
    tl.store(gv + at3 + F, back, mask=here)
    back = times_transposed(through * w_z, mix, F, F, PRECISION)
    back += times_transposed(through * u_z + by_norm * w_z, mix + F * F, F, F, PRECISION)
    tl.store(gv + at3 + 2 * F, back, mask=here)


@triton.jit
def dense_backward(
    gphi,  # (N, 3, F): dE by what the next layer's message network says
    gs_next,  # (N, F): dE by the scalars after the next layer's message
    gv_next,  # (N, 3, F): dE by the vectors that enter it
    kept,  # (N, 9, F), and the other arrays of dense_forward
    da,
    dphi,
    phi1,  # weights of the next layer's message network
    phi2,
    mix,  # weights of this layer's update
    a1,
    a2,
    gs,  # out: (N, F): dE by the scalars after this layer's message
    gv,  # out: (N, 3, F)
    n_atoms,
    F: tl.constexpr,
    H: tl.constexpr,
    ATOMS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    atom = tl.program_id(0) * ATOMS + tl.arange(0, ATOMS)[:, None]
    here = atom < n_atoms
    c = tl.arange(0, F)[None, :]
    at1 = atom * F + c
    at3 = atom * (3 * F) + c
    at9 = atom * (9 * F) + c
    at_h = atom * H + tl.arange(0, H)[None, :]

    gh = tl.zeros([ATOMS, F], tl.float32)
    for part in tl.static_range(3):
        spoken = tl.load(gphi + at3 + part * F, mask=here, other=0.0)
        gh += times_transposed(spoken, phi2 + part * F * F, F, F, PRECISION)
    gh *= tl.load(dphi + at1, mask=here, other=0.0)
    g = tl.load(gs_next + at1, mask=here, other=0.0)
    g += times_transposed(gh, phi1, F, F, PRECISION)

    dot = tl.zeros([ATOMS, F], tl.float32)
    along = tl.zeros([ATOMS, F], tl.float32)
    for x in tl.static_range(3):
        u = tl.load(kept + at9 + x * F, mask=here, other=0.0)
        dot += u * tl.load(kept + at9 + (3 + x) * F, mask=here, other=0.0)
        along += u * tl.load(gv_next + at3 + x * F, mask=here, other=0.0)
    gt = times_transposed(g, a2, H, F, PRECISION)
    gt += times_transposed(g * dot, a2 + H * F, H, F, PRECISION)
    gt += times_transposed(along, a2 + 2 * H * F, H, F, PRECISION)
    gt *= tl.load(da + at_h, mask=here, other=0.0)
    tl.store(gs + at1, g + times_transposed(gt, a1, F, H, PRECISION), mask=here)

    norm = tl.load(kept + at9 + 6 * F, mask=here, other=1.0)
    by_norm = times_transposed(gt, a1 + F * H, F, H, PRECISION) / norm
    through = g * tl.load(kept + at9 + 7 * F, mask=here, other=0.0)
    gate = tl.load(kept + at9 + 8 * F, mask=here, other=0.0)
    for x in tl.static_range(3):
        u = tl.load(kept + at9 + x * F, mask=here, other=0.0)
        w = tl.load(kept + at9 + (3 + x) * F, mask=here, other=0.0)
        straight = tl.load(gv_next + at3 + x * F, mask=here, other=0.0)
        back = times_transposed(through * w + straight * gate, mix, F, F, PRECISION)
        back += times_transposed(through * u + by_norm * w, mix + F * F, F, F, PRECISION)
        tl.store(gv + at3 + x * F, straight + back, mask=here)
