# mypy: ignore-errors
# (Triton's kernels are a language of their own, which type checkers cannot read)
"""The dense layers, forward and back, on blocks of atoms.

Between two messages lies one kernel each way: the update and the next message's network forward,
the same in reverse back. After the last message the way forward turns round inside one kernel.

A program runs through its layers one after another. Each product is a loop over CHUNK of the
features that go in, so that neither weights nor features need be in registers all at once; what a
layer hands to the next goes by way of memory (near, in the L1 cache), with a barrier between. Only
the program's own atoms are concerned, so no program waits for another. Products with the same
operand share a loop.
"""

import triton
import triton.language as tl


@triton.jit
def rows(x, atom, STRIDE: tl.constexpr, k, here):
    """Features k of the program's atoms: (atoms, CHUNK)."""
    return tl.load(x + atom * STRIDE + k[None, :], mask=here, other=0.0)


@triton.jit
def weights(w, k, N: tl.constexpr):
    """Rows k of w (K, N): (CHUNK, N)."""
    return tl.load(w + k[:, None] * N + tl.arange(0, N)[None, :])


@triton.jit
def silu(x):
    """x sigmoid(x) and its derivative."""
    sigmoid = 1.0 / (1.0 + tl.exp(-x))
    return x * sigmoid, sigmoid * (1.0 + x * (1.0 - sigmoid))


@triton.jit
def update_forward(
    s,
    v,
    mix,
    a1,
    a1_b,
    a2,
    a2_b,
    v_out,
    kept,
    da,
    scratch,
    atom,
    here,
    F: tl.constexpr,
    H: tl.constexpr,
    LAST: tl.constexpr,
    CHUNK: tl.constexpr,
    PRECISION: tl.constexpr,
    SOFTENING: tl.constexpr,
):
    """The update block; returns the new scalars (atoms, F). The arguments: see dense_forward."""
    c = tl.arange(0, F)[None, :]
    ch = tl.arange(0, H)[None, :]
    at3 = atom * (3 * F) + c
    at9 = kept + atom * (9 * F) + c
    ATOMS: tl.constexpr = atom.shape[0]

    u_x = tl.zeros([ATOMS, F], tl.float32)
    u_y = tl.zeros([ATOMS, F], tl.float32)
    u_z = tl.zeros([ATOMS, F], tl.float32)
    w_x = tl.zeros([ATOMS, F], tl.float32)
    w_y = tl.zeros([ATOMS, F], tl.float32)
    w_z = tl.zeros([ATOMS, F], tl.float32)
    for start in range(0, F, CHUNK):
        k = start + tl.arange(0, CHUNK)
        x = rows(v, atom, 3 * F, k, here)
        y = rows(v + F, atom, 3 * F, k, here)
        z = rows(v + 2 * F, atom, 3 * F, k, here)
        weight = weights(mix, k, F)
        u_x = tl.dot(x, weight, u_x, input_precision=PRECISION)
        u_y = tl.dot(y, weight, u_y, input_precision=PRECISION)
        u_z = tl.dot(z, weight, u_z, input_precision=PRECISION)
        weight = weights(mix + F * F, k, F)
        w_x = tl.dot(x, weight, w_x, input_precision=PRECISION)
        w_y = tl.dot(y, weight, w_y, input_precision=PRECISION)
        w_z = tl.dot(z, weight, w_z, input_precision=PRECISION)
    # smooth where the vectors vanish: see StudentConfig.softening
    norm = tl.sqrt(w_x * w_x + w_y * w_y + w_z * w_z + SOFTENING)
    dot = u_x * w_x + u_y * w_y + u_z * w_z
    tl.store(at9, u_x, mask=here)
    tl.store(at9 + F, u_y, mask=here)
    tl.store(at9 + 2 * F, u_z, mask=here)
    tl.store(at9 + 3 * F, w_x, mask=here)
    tl.store(at9 + 4 * F, w_y, mask=here)
    tl.store(at9 + 5 * F, w_z, mask=here)
    tl.store(at9 + 6 * F, norm, mask=here)
    tl.debug_barrier()

    p = tl.zeros([ATOMS, H], tl.float32)
    for start in range(0, F, CHUNK):
        k = start + tl.arange(0, CHUNK)
        scalars = rows(s, atom, F, k, here)
        p = tl.dot(scalars, weights(a1, k, H), p, input_precision=PRECISION)
        norms = rows(kept + 6 * F, atom, 9 * F, k, here)
        p = tl.dot(norms, weights(a1 + F * H, k, H), p, input_precision=PRECISION)
    t, dt = silu(p + tl.load(a1_b + ch))
    tl.store(da + atom * H + ch, dt, mask=here)
    tl.store(scratch + atom * (3 * F) + ch, t, mask=here)
    tl.debug_barrier()

    straight = tl.zeros([ATOMS, F], tl.float32)
    gate = tl.zeros([ATOMS, F], tl.float32)
    if not LAST:
        gate_v = tl.zeros([ATOMS, F], tl.float32)
    for start in range(0, H, CHUNK):
        k = start + tl.arange(0, CHUNK)
        hidden = rows(scratch, atom, 3 * F, k, here)
        straight = tl.dot(hidden, weights(a2, k, F), straight, input_precision=PRECISION)
        gate = tl.dot(hidden, weights(a2 + H * F, k, F), gate, input_precision=PRECISION)
        if not LAST:
            weight = weights(a2 + 2 * H * F, k, F)
            gate_v = tl.dot(hidden, weight, gate_v, input_precision=PRECISION)
    gate += tl.load(a2_b + F + c)
    tl.store(at9 + 7 * F, gate, mask=here)
    if not LAST:
        gate_v += tl.load(a2_b + 2 * F + c)
        tl.store(at9 + 8 * F, gate_v, mask=here)
        for x in tl.static_range(3):
            old = tl.load(v + at3 + x * F, mask=here, other=0.0)
            u = tl.load(at9 + x * F, mask=here, other=0.0)
            tl.store(v_out + at3 + x * F, old + gate_v * u, mask=here)
    old = tl.load(s + atom * F + c, mask=here, other=0.0)
    return old + straight + tl.load(a2_b + c) + gate * dot


@triton.jit
def update_backward(
    gv_next,
    kept,
    da,
    mix_t,
    a1_t,
    a2_t,
    gs,
    gv,
    scratch,
    atom,
    here,
    F: tl.constexpr,
    H: tl.constexpr,
    LAST: tl.constexpr,
    CHUNK: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """From dE by the new scalars, in part 0 of scratch, and dE by the new vectors, gv_next.

    The arguments: see dense_backward. After the last update nobody reads the vectors, and gv_next
    is not read.
    """
    c = tl.arange(0, F)[None, :]
    ch = tl.arange(0, H)[None, :]
    at3 = atom * (3 * F) + c
    ATOMS: tl.constexpr = atom.shape[0]

    gt = tl.zeros([ATOMS, H], tl.float32)
    for start in range(0, F, CHUNK):
        k = start + tl.arange(0, CHUNK)
        g = rows(scratch, atom, 3 * F, k, here)
        u_x = rows(kept, atom, 9 * F, k, here)
        u_y = rows(kept + F, atom, 9 * F, k, here)
        u_z = rows(kept + 2 * F, atom, 9 * F, k, here)
        dot = u_x * rows(kept + 3 * F, atom, 9 * F, k, here)
        dot += u_y * rows(kept + 4 * F, atom, 9 * F, k, here)
        dot += u_z * rows(kept + 5 * F, atom, 9 * F, k, here)
        gt = tl.dot(g, weights(a2_t, k, H), gt, input_precision=PRECISION)
        gt = tl.dot(g * dot, weights(a2_t + F * H, k, H), gt, input_precision=PRECISION)
        if not LAST:
            gate = u_x * rows(gv_next, atom, 3 * F, k, here)
            gate += u_y * rows(gv_next + F, atom, 3 * F, k, here)
            gate += u_z * rows(gv_next + 2 * F, atom, 3 * F, k, here)
            gt = tl.dot(gate, weights(a2_t + 2 * F * H, k, H), gt, input_precision=PRECISION)
    gt *= tl.load(da + atom * H + ch, mask=here, other=0.0)
    tl.store(scratch + atom * (3 * F) + F + ch, gt, mask=here)
    tl.debug_barrier()

    by_s = tl.load(scratch + at3, mask=here, other=0.0)
    by_norm = tl.zeros([ATOMS, F], tl.float32)
    for start in range(0, H, CHUNK):
        k = start + tl.arange(0, CHUNK)
        hidden = rows(scratch + F, atom, 3 * F, k, here)
        by_s = tl.dot(hidden, weights(a1_t, k, F), by_s, input_precision=PRECISION)
        by_norm = tl.dot(hidden, weights(a1_t + H * F, k, F), by_norm, input_precision=PRECISION)
    tl.store(gs + atom * F + c, by_s, mask=here)
    by_norm /= tl.load(kept + atom * (9 * F) + 6 * F + c, mask=here, other=1.0)
    tl.store(scratch + at3 + 2 * F, by_norm, mask=here)
    tl.debug_barrier()

    if LAST:
        g_x = tl.zeros([ATOMS, F], tl.float32)
        g_y = tl.zeros([ATOMS, F], tl.float32)
        g_z = tl.zeros([ATOMS, F], tl.float32)
    else:  # vectors also go straight on
        g_x = tl.load(gv_next + at3, mask=here, other=0.0)
        g_y = tl.load(gv_next + at3 + F, mask=here, other=0.0)
        g_z = tl.load(gv_next + at3 + 2 * F, mask=here, other=0.0)
    for start in range(0, F, CHUNK):
        k = start + tl.arange(0, CHUNK)
        through = rows(scratch, atom, 3 * F, k, here) * rows(kept + 7 * F, atom, 9 * F, k, here)
        along = rows(scratch + 2 * F, atom, 3 * F, k, here)
        u_x = rows(kept, atom, 9 * F, k, here)
        u_y = rows(kept + F, atom, 9 * F, k, here)
        u_z = rows(kept + 2 * F, atom, 9 * F, k, here)
        w_x = rows(kept + 3 * F, atom, 9 * F, k, here)
        w_y = rows(kept + 4 * F, atom, 9 * F, k, here)
        w_z = rows(kept + 5 * F, atom, 9 * F, k, here)
        by_u_x = through * w_x
        by_u_y = through * w_y
        by_u_z = through * w_z
        if not LAST:
            gate_v = rows(kept + 8 * F, atom, 9 * F, k, here)
            by_u_x += gate_v * rows(gv_next, atom, 3 * F, k, here)
            by_u_y += gate_v * rows(gv_next + F, atom, 3 * F, k, here)
            by_u_z += gate_v * rows(gv_next + 2 * F, atom, 3 * F, k, here)
        weight = weights(mix_t, k, F)
        g_x = tl.dot(by_u_x, weight, g_x, input_precision=PRECISION)
        g_y = tl.dot(by_u_y, weight, g_y, input_precision=PRECISION)
        g_z = tl.dot(by_u_z, weight, g_z, input_precision=PRECISION)
        weight = weights(mix_t + F * F, k, F)
        g_x = tl.dot(through * u_x + along * w_x, weight, g_x, input_precision=PRECISION)
        g_y = tl.dot(through * u_y + along * w_y, weight, g_y, input_precision=PRECISION)
        g_z = tl.dot(through * u_z + along * w_z, weight, g_z, input_precision=PRECISION)
    tl.store(gv + at3, g_x, mask=here)
    tl.store(gv + at3 + F, g_y, mask=here)
    tl.store(gv + at3 + 2 * F, g_z, mask=here)


@triton.jit(do_not_specialize=["n_atoms"])
def dense_forward(
    s,  # (N, F) after this layer's message
    v,  # (N, 3, F)
    mix,  # (2, F, F) and the other weights of this layer's update
    a1,  # (2, F, H)
    a1_b,
    a2,  # (3, H, F)
    a2_b,
    phi1,  # (F, F) and the other weights of the next layer's message network
    phi1_b,
    phi2,  # (3, F, F)
    phi2_b,
    s_out,  # out: (N, F) after the update
    v_out,  # out: (N, 3, F)
    phi,  # out: (N, 3, F)
    kept,  # out: (N, 9, F) for the way back: U, V, norm, a[1], a[2]
    da,  # out: (N, H): the update network's silu'
    dphi,  # out: (N, F): the message network's silu'
    scratch,  # (N, 3, F)
    n_atoms,
    F: tl.constexpr,
    H: tl.constexpr,
    ATOMS: tl.constexpr,
    CHUNK: tl.constexpr,
    PRECISION: tl.constexpr,
    SOFTENING: tl.constexpr,
):
    """An update, and the message network of the layer after it."""
    atom = tl.program_id(0) * ATOMS + tl.arange(0, ATOMS)[:, None]
    here = atom < n_atoms
    c = tl.arange(0, F)[None, :]
    s_new = update_forward(
        s, v, mix, a1, a1_b, a2, a2_b, v_out, kept, da, scratch, atom, here,
        F, H, False, CHUNK, PRECISION, SOFTENING,
    )  # fmt: skip
    tl.store(s_out + atom * F + c, s_new, mask=here)
    tl.debug_barrier()

    h = tl.zeros([ATOMS, F], tl.float32)
    for start in range(0, F, CHUNK):
        k = start + tl.arange(0, CHUNK)
        scalars = rows(s_out, atom, F, k, here)
        h = tl.dot(scalars, weights(phi1, k, F), h, input_precision=PRECISION)
    g, dg = silu(h + tl.load(phi1_b + c))
    tl.store(dphi + atom * F + c, dg, mask=here)
    tl.store(scratch + atom * (3 * F) + F + c, g, mask=here)
    tl.debug_barrier()

    p0 = tl.zeros([ATOMS, F], tl.float32)
    p1 = tl.zeros([ATOMS, F], tl.float32)
    p2 = tl.zeros([ATOMS, F], tl.float32)
    for start in range(0, F, CHUNK):
        k = start + tl.arange(0, CHUNK)
        hidden = rows(scratch + F, atom, 3 * F, k, here)
        p0 = tl.dot(hidden, weights(phi2, k, F), p0, input_precision=PRECISION)
        p1 = tl.dot(hidden, weights(phi2 + F * F, k, F), p1, input_precision=PRECISION)
        p2 = tl.dot(hidden, weights(phi2 + 2 * F * F, k, F), p2, input_precision=PRECISION)
    to = phi + atom * (3 * F) + c
    tl.store(to, p0 + tl.load(phi2_b + c), mask=here)
    tl.store(to + F, p1 + tl.load(phi2_b + F + c), mask=here)
    tl.store(to + 2 * F, p2 + tl.load(phi2_b + 2 * F + c), mask=here)


@triton.jit(do_not_specialize=["n_atoms"])
def dense_turn(
    s,  # (N, F) after the last message
    v,  # (N, 3, F)
    mix,  # (2, F, F) and the other weights of the last update, also transposed: (out, in)
    a1,  # (2, F, H)
    a1_b,
    a2,  # (2, H, F)
    a2_b,
    mix_t,
    a1_t,
    a2_t,
    read1,  # (F, H) and the other weights of the readout
    read1_b,
    read1_t,
    read2,
    energies,  # added to: (N,) float64
    gs,  # out: (N, F): dE by s
    gv,  # out: (N, 3, F): dE by v
    kept,  # (N, 9, F), (N, H), (N, 3, F): from layer to layer in here
    da,
    scratch,
    n_atoms,
    F: tl.constexpr,
    H: tl.constexpr,
    ATOMS: tl.constexpr,
    CHUNK: tl.constexpr,
    PRECISION: tl.constexpr,
    SOFTENING: tl.constexpr,
):
    """The last update and the readout, and back through both."""
    atoms = tl.program_id(0) * ATOMS + tl.arange(0, ATOMS)
    atom = atoms[:, None]
    here = atom < n_atoms
    c = tl.arange(0, F)[None, :]
    ch = tl.arange(0, H)[None, :]
    s_new = update_forward(
        s, v, mix, a1, a1_b, a2, a2_b, v, kept, da, scratch, atom, here,
        F, H, True, CHUNK, PRECISION, SOFTENING,
    )  # fmt: skip
    at3 = scratch + atom * (3 * F)
    tl.store(at3 + F + c, s_new, mask=here)
    tl.debug_barrier()

    h = tl.zeros([ATOMS, H], tl.float32)
    for start in range(0, F, CHUNK):
        k = start + tl.arange(0, CHUNK)
        scalars = rows(scratch + F, atom, 3 * F, k, here)
        h = tl.dot(scalars, weights(read1, k, H), h, input_precision=PRECISION)
    y, dy = silu(h + tl.load(read1_b + ch))
    last = tl.load(read2 + ch)
    inside = atoms < n_atoms
    energy = tl.load(energies + atoms, mask=inside, other=0.0)
    tl.store(energies + atoms, energy + tl.sum(y * last, 1).to(tl.float64), mask=inside)

    # from here on back
    tl.store(at3 + 2 * F + ch, dy * last, mask=here)
    tl.debug_barrier()
    g = tl.zeros([ATOMS, F], tl.float32)
    for start in range(0, H, CHUNK):
        k = start + tl.arange(0, CHUNK)
        slope = rows(scratch + 2 * F, atom, 3 * F, k, here)
        g = tl.dot(slope, weights(read1_t, k, F), g, input_precision=PRECISION)
    tl.store(at3 + c, g, mask=here)
    tl.debug_barrier()
    update_backward(
        v, kept, da, mix_t, a1_t, a2_t, gs, gv, scratch, atom, here,
        F, H, True, CHUNK, PRECISION,
    )  # fmt: skip


@triton.jit(do_not_specialize=["n_atoms"])
def dense_backward(
    gphi,  # (N, 3, F): dE by what the next layer's message network says
    gs_next,  # (N, F): dE by the scalars after the next layer's message
    gv_next,  # (N, 3, F): dE by the vectors that enter it
    kept,  # (N, 9, F), and the other arrays of dense_forward
    da,
    dphi,
    phi1_t,  # transposed weights, (out, in), of the next layer's message network
    phi2_t,
    mix_t,  # and of this layer's update
    a1_t,
    a2_t,
    gs,  # out: (N, F): dE by the scalars after this layer's message
    gv,  # out: (N, 3, F)
    scratch,  # (N, 3, F)
    n_atoms,
    F: tl.constexpr,
    H: tl.constexpr,
    ATOMS: tl.constexpr,
    CHUNK: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Back through a message network, and the update of the layer before it."""
    atom = tl.program_id(0) * ATOMS + tl.arange(0, ATOMS)[:, None]
    here = atom < n_atoms
    c = tl.arange(0, F)[None, :]
    at3 = scratch + atom * (3 * F) + c

    gh = tl.zeros([ATOMS, F], tl.float32)
    for start in range(0, F, CHUNK):
        k = start + tl.arange(0, CHUNK)
        for part in tl.static_range(3):
            spoken = rows(gphi + part * F, atom, 3 * F, k, here)
            weight = weights(phi2_t + part * F * F, k, F)
            gh = tl.dot(spoken, weight, gh, input_precision=PRECISION)
    gh *= tl.load(dphi + atom * F + c, mask=here, other=0.0)
    tl.store(at3 + F, gh, mask=here)
    tl.debug_barrier()

    g = tl.load(gs_next + atom * F + c, mask=here, other=0.0)
    for start in range(0, F, CHUNK):
        k = start + tl.arange(0, CHUNK)
        hidden = rows(scratch + F, atom, 3 * F, k, here)
        g = tl.dot(hidden, weights(phi1_t, k, F), g, input_precision=PRECISION)
    tl.store(at3, g, mask=here)
    tl.debug_barrier()
    update_backward(
        gv_next, kept, da, mix_t, a1_t, a2_t, gs, gv, scratch, atom, here,
        F, H, False, CHUNK, PRECISION,
    )  # fmt: skip
