// The network, forward and backward, for one instruction set. FT is the number of features where it
// is known at compile time, else 0.

template <class T, int FT>
struct Network {
  static constexpr int W = WIDTH<T>;
  static constexpr int BLOCK = 24;  // atoms that the dense layers take at a time, a multiple of 6
  static constexpr int MAX_FEATURES = FT ? FT : 512;
  typedef Vec<T> V;

  DISTILL_INLINE int features(const Work<T> &w) { return FT ? FT : w.shape.hidden; }

  // ---- pairs ---------------------------------------------------------------------------------
  // plain loops, one thing after the other, which the compiler turns into vectors
  static void make_pairs(int n, const Near &near, double inverse_spacing, int intervals,
                         Pair<T> *pairs) {
    constexpr int M = Near::AT_MOST;
    double inverse[M], r[M];
    int32_t first[M];
    T t[M], b[6][M], d[6][M];
    for (int k = 0; k < n; ++k) {
      r[k] = SQRT(near.r2[k]);
      inverse[k] = 1 / r[k];
      const double scaled = r[k] * inverse_spacing;
      const int32_t whole = (int32_t)scaled;
      first[k] = whole < intervals ? whole : intervals - 1;
      t[k] = T(scaled - first[k]);
    }
    for (int k = 0; k < n; ++k) {
      T here[6];
      b_splines(t[k], here);
      for (int m = 0; m < 6; ++m) b[m][k] = here[m];
    }
    const T rate = T(inverse_spacing);
    for (int k = 0; k < n; ++k) {
      T here[6];
      b_spline_slopes(t[k], here);
      for (int m = 0; m < 6; ++m) d[m][k] = here[m] * rate;
    }
    for (int k = 0; k < n; ++k) {
      Pair<T> &pair = pairs[k];
      pair.u[0] = T(near.x[k] * inverse[k]);
      pair.u[1] = T(near.y[k] * inverse[k]);
      pair.u[2] = T(near.z[k] * inverse[k]);
      pair.inverse_r = T(inverse[k]);
      for (int m = 0; m < 6; ++m) pair.b[m] = b[m][k], pair.d[m] = d[m][k];
      pair.r = T(r[k]);
      pair.j = near.j[k];
      pair.to = near.to[k];
      pair.first = first[k];
    }
  }

  // ---- message -------------------------------------------------------------------------------
  // filters of a pair at features c..c+W (or their derivatives): row is the pair's first
  template <int PARTS>
  DISTILL_INLINE void filters(const T *row, int F, int c, const T (&b)[6], V (&out)[PARTS]) {
    const int PF = PARTS * F;
#pragma GCC unroll 3
    for (int p = 0; p < PARTS; ++p) {
      const T *at = row + p * F + c;
      const V even = b[0] * load<T>(at) + b[2] * load<T>(at + 2 * PF) + b[4] * load<T>(at + 4 * PF);
      out[p] = even + b[1] * load<T>(at + PF) + b[3] * load<T>(at + 3 * PF) + b[5] * load<T>(at + 5 * PF);
    }
  }

  template <int PARTS>
  DISTILL_INLINE const T *spoken(const Work<T> &w, int layer, int atom, int F) {
    // a first message is a function of the neighbour's element alone
    return PARTS == 3 ? w.layer[layer].phi + (long)atom * 3 * F
                      : w.phi0 + (long)w.species[atom] * 2 * F;
  }

  template <int PARTS>
  static void message_forward(const Work<T> &w, int layer, int begin, int end) {
    const int F = features(w);
    const LayerArrays<T> &l = w.layer[layer];
    const T *table = w.weights.layer[layer].table;
    const long row_size = PARTS * F;
    for (int i = begin; i < end; ++i) {
      const int first = w.row[i], last = w.row_end[i];
      const T *phi_i = spoken<PARTS>(w, layer, i, F), *v_i = PARTS == 3 ? l.v + 3L * i * F : nullptr;
      T *s_i = l.q + 2L * i * F, *big_i = l.big_v + 3L * i * F;
      for (int c = 0; c < F; c += W) {
        V mine[PARTS], own[3] = {};
        for (int p = 0; p < PARTS; ++p) mine[p] = load<T>(phi_i + p * F + c);
        if (PARTS == 3)
          for (int x = 0; x < 3; ++x) own[x] = load<T>(v_i + x * F + c);
        V s = {}, v[3] = {};
        for (int e = first; e < last; ++e) {
          const Pair<T> &pair = w.pairs[e];
          const long j = pair.j, to = pair.to;
          V f[PARTS];
          filters<PARTS>(table + pair.first * row_size, F, c, pair.b, f);
          const T *phi_j = spoken<PARTS>(w, layer, j, F) + c;
          s += f[0] * load<T>(phi_j);
          const V along = f[1] * load<T>(phi_j + F);
          for (int x = 0; x < 3; ++x) v[x] += along * pair.u[x];
          if (PARTS == 3) {
            const V gate = f[PARTS - 1] * load<T>(phi_j + 2 * F);
            const T *v_j = l.v + 3 * j * F + c;
            for (int x = 0; x < 3; ++x) v[x] += gate * load<T>(v_j + x * F);
          }
          T *s_j = l.q + 2 * to * F + c, *big_j = l.big_v + 3 * to * F + c;
          add_to<T>(s_j, f[0] * mine[0]);
          const V back = f[1] * mine[1];
          if (PARTS == 3) {
            const V gate = f[PARTS - 1] * mine[PARTS - 1];
            for (int x = 0; x < 3; ++x) add_to<T>(big_j + x * F, gate * own[x] - back * pair.u[x]);
          } else {
            for (int x = 0; x < 3; ++x) store<T>(big_j + x * F, load<T>(big_j + x * F) - back * pair.u[x]);
          }
        }
        add_to<T>(s_i + c, s);
        for (int x = 0; x < 3; ++x) add_to<T>(big_i + x * F + c, v[x]);
      }
    }
  }

  // TRAIN: gradients by the weights, else by the positions
  template <int PARTS, bool TRAIN>
  static void message_backward(const Work<T> &w, int layer, int begin, int end, double *virial) {
    const int F = features(w), PF = PARTS * F;
    const LayerArrays<T> &l = w.layer[layer];
    const T *table = w.weights.layer[layer].table;
    T *table_gradient = TRAIN ? w.gradients.layer[layer].table : nullptr;
    const T *big_gs = w.big_gs[layer & 1], *big_gv = w.big_gv[layer & 1];
    const long row_size = PF;
    for (int i = begin; i < end; ++i) {
      const int first = w.row[i], last = w.row_end[i];
      const T *phi_i = spoken<PARTS>(w, layer, i, F);
      const T *v_i = PARTS == 3 ? l.v + 3L * i * F : nullptr;
      const T *gs_i = big_gs + (long)i * F, *gv_i = big_gv + 3L * i * F;
      T *gphi_i = PARTS == 3 ? w.gphi + 3L * i * F : TRAIN ? w.gphi0 + 2L * w.species[i] * F : nullptr;
      T *gv_in_i = PARTS == 3 ? w.gv + 3L * i * F : nullptr;
      double force[3] = {};
      for (int e = first; e < last; ++e) {
        const Pair<T> &pair = w.pairs[e];
        const long j = pair.j, to = pair.to;
        const T *phi_j = spoken<PARTS>(w, layer, j, F);
        const T *v_j = PARTS == 3 ? l.v + 3 * j * F : nullptr;
        const T *gs_j = big_gs + j * F, *gv_j = big_gv + 3 * j * F;
        T *gphi_j = PARTS == 3 ? w.gphi + 3 * to * F : TRAIN ? w.gphi0 + 2L * w.species[j] * F : nullptr;
        T *gv_in_j = PARTS == 3 ? w.gv + 3 * to * F : nullptr;
        const T *row = table + pair.first * row_size;
        T *row_gradient = TRAIN ? table_gradient + pair.first * row_size : nullptr;
        V slope = {}, turn[3] = {};
        for (int c = 0; c < F; c += W) {
          V f[PARTS], df[PARTS];
          filters<PARTS>(row, F, c, pair.b, f);
          const V gsi = load<T>(gs_i + c), gsj = load<T>(gs_j + c);
          V gvi[3], gvj[3];
          for (int x = 0; x < 3; ++x) {
            gvi[x] = load<T>(gv_i + x * F + c);
            gvj[x] = load<T>(gv_j + x * F + c);
          }
          const V phi0i = load<T>(phi_i + c), phi0j = load<T>(phi_j + c);
          const V phi1i = load<T>(phi_i + F + c), phi1j = load<T>(phi_j + F + c);
          const V along_i = gvi[0] * pair.u[0] + gvi[1] * pair.u[1] + gvi[2] * pair.u[2];
          const V along_j = gvj[0] * pair.u[0] + gvj[1] * pair.u[1] + gvj[2] * pair.u[2];
          df[0] = gsi * phi0j + gsj * phi0i;
          df[1] = along_i * phi1j - along_j * phi1i;
          if (PARTS == 3) {
            const V phi2i = load<T>(phi_i + 2 * F + c), phi2j = load<T>(phi_j + 2 * F + c);
            V ij = {}, ji = {};
            for (int x = 0; x < 3; ++x) {
              ij += gvi[x] * load<T>(v_j + x * F + c);
              ji += gvj[x] * load<T>(v_i + x * F + c);
            }
            df[PARTS - 1] = ij * phi2j + ji * phi2i;
            add_to<T>(gphi_i + c, f[0] * gsj);
            store<T>(gphi_i + F + c, load<T>(gphi_i + F + c) - f[1] * along_j);
            add_to<T>(gphi_i + 2 * F + c, f[PARTS - 1] * ji);
            const V gate_i = f[PARTS - 1] * phi2i, gate_j = f[PARTS - 1] * phi2j;
            for (int x = 0; x < 3; ++x) add_to<T>(gv_in_i + x * F + c, gate_i * gvj[x]);
            add_to<T>(gphi_j + c, f[0] * gsi);
            add_to<T>(gphi_j + F + c, f[1] * along_i);
            add_to<T>(gphi_j + 2 * F + c, f[PARTS - 1] * ij);
            for (int x = 0; x < 3; ++x) add_to<T>(gv_in_j + x * F + c, gate_j * gvi[x]);
          } else if (TRAIN) {
            add_to<T>(gphi_i + c, f[0] * gsj);
            store<T>(gphi_i + F + c, load<T>(gphi_i + F + c) - f[1] * along_j);
            add_to<T>(gphi_j + c, f[0] * gsi);
            add_to<T>(gphi_j + F + c, f[1] * along_i);
          }
          if (TRAIN) {
            for (int p = 0; p < PARTS; ++p) {
              T *at = row_gradient + p * F + c;
              for (int k = 0; k < 6; ++k) add_to<T>(at + k * PF, pair.b[k] * df[p]);
            }
          } else {
            V rate[PARTS];
            filters<PARTS>(row, F, c, pair.d, rate);
            for (int p = 0; p < PARTS; ++p) slope += rate[p] * df[p];
            for (int x = 0; x < 3; ++x) turn[x] += f[1] * (phi1j * gvi[x] - phi1i * gvj[x]);
          }
        }
        if (!TRAIN) {
          const T t[3] = {sum<T>(turn[0]), sum<T>(turn[1]), sum<T>(turn[2])};
          // the unit vector turns with the part of t across the bond
          const T radial = sum<T>(slope) -
                           pair.inverse_r * (t[0] * pair.u[0] + t[1] * pair.u[1] + t[2] * pair.u[2]);
          double *force_j = w.forces + 3 * to;
          for (int x = 0; x < 3; ++x) {
            const double g = radial * pair.u[x] + pair.inverse_r * t[x];
            force[x] += g;
            force_j[x] -= g;
            for (int y = 0; y < 3; ++y) virial[3 * x + y] += double(pair.r) * pair.u[y] * g;
          }
        }
      }
      if (!TRAIN)
        for (int x = 0; x < 3; ++x) w.forces[3L * i + x] += force[x];
    }
  }

  // ---- dense layers --------------------------------------------------------------------------
  static void species_forward(const Work<T> &w) {
    const int F = features(w), n = w.shape.n_elements;
    const LayerWeights<T> &l = w.weights.layer[0];
    dense<T>(n, F, F, w.weights.embedding, F, l.phi1_t, l.phi1_b, w.g0, F);
    silu<T>(w.g0, w.dh0, (long)n * F);
    dense<T>(n, F, 2 * F, w.g0, F, l.phi2_t, l.phi2_b, w.phi0, 2 * F);
  }

  // gphi0, and the embedding's gradient by way of q, which dense_backward has added already
  static void species_backward(const Work<T> &w) {
    const int F = features(w), n = w.shape.n_elements;
    const LayerWeights<T> &l = w.weights.layer[0];
    const LayerGradients<T> &g = w.gradients.layer[0];
    T row[MAX_FEATURES];
    for (int z = 0; z < n; ++z) {
      const T *gphi = w.gphi0 + 2L * z * F;
      dense<T>(1, 2 * F, F, gphi, 2 * F, l.phi2, nullptr, row, F);
      for (int c = 0; c < F; ++c) row[c] *= w.dh0[(long)z * F + c];
      outer<T>(1, 2 * F, F, gphi, 2 * F, w.g0 + (long)z * F, F, g.phi2, g.phi2_b);
      outer<T>(1, F, F, row, F, w.weights.embedding + (long)z * F, F, g.phi1, g.phi1_b);
      gemm<T>(1, F, F, row, F, 1, l.phi1, F, w.gradients.embedding + (long)z * F, F, nullptr, true);
    }
  }

  static void dense_forward(const Work<T> &w, int layer, int begin, int end) {
    const int F = features(w), H = FT ? (FT / 2 + 15) / 16 * 16 : w.shape.half;
    const LayerWeights<T> &lw = w.weights.layer[layer];
    const LayerArrays<T> &l = w.layer[layer];
    const int out = w.shape.outputs(layer) * F;
    const bool last = layer + 1 == w.shape.layers;
    const T softening = T(w.shape.softening);
    for (int b = begin; b < end; b += BLOCK) {
      const int n = end - b < BLOCK ? end - b : BLOCK;
      T *mixed = l.mixed + 6L * b * F, *q = l.q + 2L * b * F;
      const T *big_v = l.big_v + 3L * b * F;
      dense<T>(3 * n, F, 2 * F, big_v, F, lw.mix_t, nullptr, mixed, 2 * F);
      for (int r = 0; r < n; ++r) {
        const T *m = mixed + 6L * r * F + F;
        T *norm = q + 2L * r * F + F;
        for (int c = 0; c < F; ++c) {
          const T x = m[c], y = m[2 * F + c], z = m[4 * F + c];
          norm[c] = SQRT(x * x + y * y + z * z + softening);
        }
      }
      T t_here[BLOCK * MAX_FEATURES], g_here[BLOCK * MAX_FEATURES];  // kept only for training
      T *t = w.train ? l.t + (long)b * H : t_here;
      T *dp = l.dp + (long)b * H, *a = l.a + (long)b * out;
      dense<T>(n, 2 * F, H, q, 2 * F, lw.a1_t, lw.a1_b, t, H);
      silu<T>(t, dp, (long)n * H);
      dense<T>(n, H, out, t, H, lw.a2_t, lw.a2_b, a, out);
      if (last) {
        T s[BLOCK * MAX_FEATURES];
        for (int r = 0; r < n; ++r) combine<false>(F, mixed + 6L * r * F, q + 2L * r * F, a + (long)r * out, nullptr, s + r * F, nullptr, nullptr);
        readout(w, b, n, s);
      } else {
        const LayerArrays<T> &next = w.layer[layer + 1];
        const LayerWeights<T> &nw = w.weights.layer[layer + 1];
        for (int r = 0; r < n; ++r) {
          const long at = b + r;
          T *s_out = next.q + 2 * at * F;
          combine<true>(F, mixed + 6L * r * F, q + 2L * r * F, a + (long)r * out, big_v + 3L * r * F,
                        s_out, next.v + 3 * at * F, next.big_v + 3 * at * F);
          if (w.train) __builtin_memcpy(next.s + at * F, s_out, sizeof(T) * F);
        }
        T *g = w.train ? next.g + (long)b * F : g_here, *dh = next.dh + (long)b * F;
        dense<T>(n, F, F, next.q + 2L * b * F, 2 * F, nw.phi1_t, nw.phi1_b, g, F);
        silu<T>(g, dh, (long)n * F);
        dense<T>(n, F, 3 * F, g, F, nw.phi2_t, nw.phi2_b, next.phi + 3L * b * F, 3 * F);
      }
    }
  }

  // what the update's network has decided, carried out for one atom
  template <bool VECTORS>
  DISTILL_INLINE void combine(int F, const T *m, const T *q, const T *a, const T *v, T *s_out,
                              T *v_out, T *v_copy) {
    for (int c = 0; c < F; c += W) {
      V u[3], dot = {};
      for (int x = 0; x < 3; ++x) {
        u[x] = load<T>(m + 2 * x * F + c);
        dot += u[x] * load<T>(m + (2 * x + 1) * F + c);
      }
      const V s = load<T>(q + c) + load<T>(a + c) + load<T>(a + F + c) * dot;
      store<T>(s_out + c, s);
      if (VECTORS) {
        const V gate = load<T>(a + 2 * F + c);
        for (int x = 0; x < 3; ++x) {
          const V y = load<T>(v + x * F + c) + gate * u[x];
          store<T>(v_out + x * F + c, y);
          store<T>(v_copy + x * F + c, y);
        }
      }
    }
  }

  // energies of atoms b..b+n with scalars s, and dE/ds into w.gs
  static void readout(const Work<T> &w, int b, int n, const T *s) {
    const int F = features(w), H = FT ? (FT / 2 + 15) / 16 * 16 : w.shape.half;
    const Weights<T> &weights = w.weights;
    T g[BLOCK * MAX_FEATURES], slope[BLOCK * MAX_FEATURES];
    dense<T>(n, F, H, s, F, weights.read1_t, weights.read1_b, g, H);
    silu<T>(g, slope, (long)n * H);
    for (int r = 0; r < n; ++r) {
      const T seed = w.cotangent[b + r];
      V total = {};
      for (int c = 0; c < H; c += W) {
        const V weight = load<T>(weights.read2 + c), value = load<T>(g + r * H + c);
        total += value * weight;
        if (w.train) add_to<T>(w.gradients.read2 + c, seed * value);
        store<T>(slope + r * H + c, load<T>(slope + r * H + c) * weight * seed);
      }
      if (w.train) w.gradients.read2_b[0] += seed;
      w.energies[b + r] += (double)sum<T>(total) + (double)weights.read2_b[0];
    }
    if (w.train) outer<T>(n, H, F, slope, H, s, F, w.gradients.read1, w.gradients.read1_b);
    dense<T>(n, H, F, slope, H, weights.read1, nullptr, w.gs + (long)b * F, F);
    if (w.distances) measure(w, b, n, s);
  }

  // Mahalanobis distances of atoms b..b+n with scalars s, over the square root of F
  static void measure(const Work<T> &w, int b, int n, const T *s) {
    const int F = features(w);
    T away[BLOCK * MAX_FEATURES], white[BLOCK * MAX_FEATURES];
    for (int r = 0; r < n; ++r) {
      const T *mean = w.latent.mean + (long)w.species[b + r] * F;
      for (int c = 0; c < F; c += W)
        store<T>(away + r * F + c, load<T>(s + r * F + c) - load<T>(mean + c));
    }
    dense<T>(n, F, F, away, F, w.latent.whitening, nullptr, white, F);
    for (int r = 0; r < n; ++r) {
      V total = {};
      for (int c = 0; c < F; c += W) {
        const V x = load<T>(white + r * F + c);
        total += x * x;
      }
      w.distances[b + r] = __builtin_sqrt((double)sum<T>(total) / F);
    }
  }

  // From w.gs, w.gv (by an update's results) to big_gs, big_gv of its layer (by its arguments)
  static void update_backward(const Work<T> &w, int layer, int b, int n) {
    const int F = features(w), H = FT ? (FT / 2 + 15) / 16 * 16 : w.shape.half;
    const LayerWeights<T> &lw = w.weights.layer[layer];
    const LayerArrays<T> &l = w.layer[layer];
    const bool last = layer + 1 == w.shape.layers;
    const int out = w.shape.outputs(layer) * F;
    const T *mixed = l.mixed + 6L * b * F, *q = l.q + 2L * b * F, *a = l.a + (long)b * out;
    const T *gs = w.gs + (long)b * F, *gv = w.gv + 3L * b * F, *dp = l.dp + (long)b * H;
    T *big_gs = w.big_gs[layer & 1] + (long)b * F, *big_gv = w.big_gv[layer & 1] + 3L * b * F;
    T ga[BLOCK * 3 * MAX_FEATURES], gt[BLOCK * MAX_FEATURES], gq[BLOCK * 2 * MAX_FEATURES];
    T gm[BLOCK * 6 * MAX_FEATURES];
    for (int r = 0; r < n; ++r)
      for (int c = 0; c < F; c += W) {
        const T *m = mixed + 6L * r * F + c;
        V dot = {}, along = {};
        for (int x = 0; x < 3; ++x) {
          const V u = load<T>(m + 2 * x * F);
          dot += u * load<T>(m + (2 * x + 1) * F);
          if (!last) along += u * load<T>(gv + (3L * r + x) * F + c);
        }
        const V g = load<T>(gs + r * F + c);
        store<T>(ga + r * out + c, g);
        store<T>(ga + r * out + F + c, g * dot);
        if (!last) store<T>(ga + r * out + 2 * F + c, along);
      }
    dense<T>(n, out, H, ga, out, lw.a2, nullptr, gt, H);
    if (w.train) outer<T>(n, out, H, ga, out, l.t + (long)b * H, H, w.gradients.layer[layer].a2, w.gradients.layer[layer].a2_b);
    for (long k = 0; k < (long)n * H; k += W) store<T>(gt + k, load<T>(gt + k) * load<T>(dp + k));
    dense<T>(n, H, 2 * F, gt, H, lw.a1, nullptr, gq, 2 * F);
    if (w.train) outer<T>(n, H, 2 * F, gt, H, q, 2 * F, w.gradients.layer[layer].a1, w.gradients.layer[layer].a1_b);
    for (int r = 0; r < n; ++r)
      for (int c = 0; c < F; c += W) {
        const T *m = mixed + 6L * r * F + c;
        const V g = load<T>(gs + r * F + c);
        const V through = g * load<T>(a + (long)r * out + F + c);
        const V by_norm = load<T>(gq + 2 * r * F + F + c) / load<T>(q + 2L * r * F + F + c);
        store<T>(big_gs + (long)r * F + c, g + load<T>(gq + 2 * r * F + c));
        for (int x = 0; x < 3; ++x) {
          const V u = load<T>(m + 2 * x * F), v = load<T>(m + (2 * x + 1) * F);
          V gu = through * v;
          if (!last) gu += load<T>(gv + (3L * r + x) * F + c) * load<T>(a + (long)r * out + 2 * F + c);
          store<T>(gm + (6 * r + 2 * x) * F + c, gu);
          store<T>(gm + (6 * r + 2 * x + 1) * F + c, through * u + by_norm * v);
        }
      }
    if (!last) {  // vectors also go straight on
      __builtin_memcpy(big_gv, gv, sizeof(T) * 3 * n * F);
      gemm<T>(3 * n, 2 * F, F, gm, 2 * F, 1, lw.mix, F, big_gv, F, nullptr, true);
    } else {
      dense<T>(3 * n, 2 * F, F, gm, 2 * F, lw.mix, nullptr, big_gv, F);
    }
    if (w.train)
      outer<T>(3 * n, 2 * F, F, gm, 2 * F, l.big_v + 3L * b * F, F, w.gradients.layer[layer].mix, nullptr);
    if (layer > 0) {  // message_backward adds to these
      __builtin_memcpy(w.gv + 3L * b * F, big_gv, sizeof(T) * 3 * n * F);
      __builtin_memset(w.gphi + 3L * b * F, 0, sizeof(T) * 3 * n * F);
    } else if (w.train) {  // the embedding is what q started from
      for (int r = 0; r < n; ++r)
        for (int c = 0; c < F; c += W)
          add_to<T>(w.gradients.embedding + (long)w.species[b + r] * F + c, load<T>(big_gs + (long)r * F + c));
    }
  }

  // layer: whose message has just been gone back through; layers stands for the readout
  static void dense_backward(const Work<T> &w, int layer, int begin, int end) {
    const int F = features(w);
    for (int b = begin; b < end; b += BLOCK) {
      const int n = end - b < BLOCK ? end - b : BLOCK;
      if (layer < w.shape.layers) {
        const LayerWeights<T> &lw = w.weights.layer[layer];
        const LayerArrays<T> &l = w.layer[layer];
        const T *gphi = w.gphi + 3L * b * F, *dh = l.dh + (long)b * F;
        T gh[BLOCK * MAX_FEATURES];
        dense<T>(n, 3 * F, F, gphi, 3 * F, lw.phi2, nullptr, gh, F);
        for (long k = 0; k < (long)n * F; k += W) store<T>(gh + k, load<T>(gh + k) * load<T>(dh + k));
        T *gs = w.gs + (long)b * F;
        __builtin_memcpy(gs, w.big_gs[layer & 1] + (long)b * F, sizeof(T) * n * F);
        gemm<T>(n, F, F, gh, F, 1, lw.phi1, F, gs, F, nullptr, true);
        if (w.train) {
          const LayerGradients<T> &g = w.gradients.layer[layer];
          outer<T>(n, 3 * F, F, gphi, 3 * F, l.g + (long)b * F, F, g.phi2, g.phi2_b);
          outer<T>(n, F, F, gh, F, l.s + (long)b * F, F, g.phi1, g.phi1_b);
        }
      }
      update_backward(w, layer - 1, b, n);
    }
  }

  // ---- the table of functions ----------------------------------------------------------------
  static void any_message_forward(const Work<T> &w, int layer, int begin, int end) {
    if (layer > 0)
      message_forward<3>(w, layer, begin, end);
    else
      message_forward<2>(w, layer, begin, end);
  }
  static void any_message_backward(const Work<T> &w, int layer, int begin, int end, double *virial) {
    if (layer > 0)
      w.train ? message_backward<3, true>(w, layer, begin, end, virial)
              : message_backward<3, false>(w, layer, begin, end, virial);
    else
      w.train ? message_backward<2, true>(w, layer, begin, end, virial)
              : message_backward<2, false>(w, layer, begin, end, virial);
  }
  static Engine<T> engine() {
    return {make_pairs, species_forward, species_backward, any_message_forward, dense_forward,
            any_message_backward, dense_backward, gemm<T>};
  }
};
