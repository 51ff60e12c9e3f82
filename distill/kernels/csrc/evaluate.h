// One evaluation: pairs from candidates, then the phases of the network over threads.
#pragma once
#include <stdlib.h>
#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <stdexcept>

#include "neighbours.h"
#include "pool.h"
#include "student.h"

namespace distill {

constexpr double COULOMB = 14.399645478425668;  // e^2 / (4 pi epsilon_0) in eV Å

// Memory of a thread, kept from call to call; in huge pages where the system has them, since large
// systems otherwise spend a good part of their time on page tables.
class Arena {
 public:
  ~Arena() { std::free(memory_); }
  void *take(size_t bytes) {
    if (bytes > size_) {
      std::free(memory_);
      memory_ = nullptr;
      size_ = 0;
      const size_t alignment = bytes < HUGE_PAGE ? 64 : HUGE_PAGE;
      const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
      if (posix_memalign(&memory_, alignment, rounded)) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
      if (alignment == HUGE_PAGE) madvise(memory_, rounded, MADV_HUGEPAGE);
#endif
      size_ = rounded;
    }
    return memory_;
  }

 private:
  static constexpr size_t HUGE_PAGE = size_t(1) << 21;
  void *memory_ = nullptr;
  size_t size_ = 0;
};

// The first message's network, see Work.
template <class T>
struct SpeciesArrays {
  T *phi0, *gphi0, *dh0, *g0;
};

// Features of a rank's ghost atoms, which are other ranks' atoms: the first n of N rows are its own.
// Two arrays at a time, with rows of `width` numbers of type T.
struct Exchange {
  void (*call)(void *context, int direction, void *first, void *second, int64_t width);
  void *context;
  void send(void *first, void *second, int64_t width) const { call(context, 1, first, second, width); }
  // ghosts' rows are added to those of the atoms themselves
  void collect(void *first, void *second, int64_t width) const { call(context, -1, first, second, width); }
};

template <class T>
struct Problem {
  const Student *student;
  Weights<T> weights;
  int n_atoms;
  const int32_t *species;         // N
  const double *positions;        // N x 3
  const Candidates *candidates;
  const double *cotangent;        // N, or null: ones
  Gradients<T> *gradients;        // by the weights, instead of forces; or null
  SpeciesArrays<T> *by_species;   // filled already, and not gone back through here; or null
  Latent<T> latent;               // with Results::distances
  int threads;                    // 1 with gradients, and with `within`
  // Of a system's part: within[h], h = 0..layers, is the number of atoms that are at most h bonds of
  // the network away from those that count; the atoms are in this order. Null: all atoms count.
  const int *within;
  // Of a rank that asks others for its ghosts' features: within is n for all h below layers, and N.
  const Exchange *exchange;
};

struct Results {
  double *energies;  // N, without the reference energies, and room for the candidates' rows()
  double *forces;    // N x 3, likewise
  double *virial;    // 9
  double *distances; // N, or null: see Latent
  double closest;    // Å between the two nearest atoms
  int closest_i, closest_j;
};

template <class T>
SpeciesArrays<T> place_species(const Shape &s, Places<T> &next) {
  const size_t n = size_t(s.n_elements) * s.hidden;
  SpeciesArrays<T> z;
  z.phi0 = next(2 * n), z.gphi0 = next(2 * n), z.dh0 = next(n), z.g0 = next(n);
  return z;
}

template <class T>
size_t place_arrays(Work<T> &w, char *base, size_t M, size_t n_pairs) {
  const Shape &s = w.shape;
  const size_t N = w.n_atoms, F = s.hidden, H = s.half;
  Places<T> next{reinterpret_cast<T *>(base)};
  for (int k = 0; k < s.layers; ++k) {
    LayerArrays<T> &l = w.layer[k];
    if (k > 0) {
      l.v = next(3 * N * F), l.dh = next(N * F), l.phi = next(3 * N * F);
      if (w.train) l.s = next(N * F), l.g = next(N * F);
    }
    l.big_v = next(3 * M * F), l.q = next(2 * M * F), l.mixed = next(6 * N * F);
    l.dp = next(N * H), l.a = next(s.outputs(k) * N * F);
    if (w.train) l.t = next(N * H);
  }
  SpeciesArrays<T> z = place_species(s, next);
  w.phi0 = z.phi0, w.gphi0 = z.gphi0, w.dh0 = z.dh0, w.g0 = z.g0;
  w.gs = next(N * F), w.gphi = next(3 * M * F), w.gv = next(3 * M * F);
  for (int k = 0; k < 2; ++k) w.big_gs[k] = next(N * F), w.big_gv[k] = next(3 * N * F);
  w.cotangent = next(N);
  w.pairs = reinterpret_cast<Pair<T> *>(next(n_pairs * sizeof(Pair<T>) / sizeof(T)));
  return next.used * sizeof(T);
}

// Screened nuclear repulsion, see distill/student/zbl.py: energy, and its derivative by r.
inline double zbl(const Student::Element &a, const Student::Element &b, double r, double *slope) {
  const double reach = a.radius + b.radius, y = r / reach;
  const double screen = a.inverse_screening + b.inverse_screening, x = r * screen;
  const double p[4] = {0.18175, 0.50986, 0.28022, 0.02817};
  const double q[4] = {3.19980, 0.94229, 0.40290, 0.20162};
  double phi = 0, dphi = 0;
  for (int k = 0; k < 4; ++k) {
    const double e = p[k] * std::exp(-q[k] * x);
    phi += e;
    dphi -= q[k] * screen * e;
  }
  const double z = 1 - y, envelope = z * z * z * (1 + y * (3 + 6 * y));
  const double denvelope = -30 * y * y * z * z / reach;
  const double c = COULOMB * a.z * b.z / r;
  *slope = c * (dphi * envelope + phi * denvelope - phi * envelope / r);
  return c * phi * envelope;
}

// The repulsion of an atom and those near it, added to energies, forces and virial.
template <class T>
void repel(const Problem<T> &p, const Work<T> &w, int i, const Near &near, int n, Results &out,
           double *virial) {
  const Student::Element &a = p.student->elements[p.species[i]];
  for (int k = 0; k < n; ++k) {
    const int32_t j = near.j[k], to = near.to[k];
    const Student::Element &b = p.student->elements[p.species[j]];
    const double reach = a.radius + b.radius;
    if (near.r2[k] >= reach * reach) continue;
    const double r = std::sqrt(near.r2[k]), v[3] = {near.x[k], near.y[k], near.z[k]};
    double slope;
    const double energy = zbl(a, b, r, &slope);
    out.energies[i] += 0.5 * energy;
    out.energies[to] += 0.5 * energy;
    if (w.train) continue;
    const double weight = 0.5 * (double(w.cotangent[i]) + double(w.cotangent[j]));
    for (int d = 0; d < 3; ++d) {
      const double g = weight * slope * v[d] / r;
      out.forces[3L * i + d] += g;
      out.forces[3L * to + d] -= g;
      for (int f = 0; f < 3; ++f) virial[3 * d + f] += v[f] * g;
    }
  }
}

// The pairs of atoms begin..end that are within the cutoff, and their repulsion.
template <class T>
void find_pairs(const Problem<T> &p, const Engine<T> &engine, Work<T> &w, Pair<T> *pairs,
                int32_t *row_end, int begin, int end, Results &out, double *virial) {
  const Student &st = *p.student;
  const Candidates &c = *p.candidates;
  const double cutoff2 = st.cutoff * st.cutoff;
  const double inverse_spacing = st.shape.intervals / st.cutoff;
  const double *shift = c.shift.empty() ? nullptr : c.shift.data();
  const double none[3] = {0, 0, 0};
  double least = 1e300;
  for (int i = begin; i < end; ++i) {
    const double *x = p.positions + 3L * i;
    int32_t at = c.first[i];
    for (int32_t e = c.first[i]; e < c.first[i + 1];) {
      Near near;
      int n = 0;
      for (const int32_t stop = std::min(c.first[i + 1], e + Near::AT_MOST); e < stop; ++e) {
        const int32_t j = c.j[e];
        const double *y = p.positions + 3L * j, *s = shift ? shift + 3 * size_t(e) : none;
        const double v[3] = {y[0] - x[0] + s[0], y[1] - x[1] + s[1], y[2] - x[2] + s[2]};
        const double r2 = v[0] * v[0] + v[1] * v[1] + v[2] * v[2];
        // no branch: the processor could not guess which candidates are within the cutoff
        near.x[n] = v[0], near.y[n] = v[1], near.z[n] = v[2], near.r2[n] = r2;
        near.j[n] = j, near.to[n] = c.to[e];
        n += r2 < cutoff2;
      }
      for (int k = 0; k < n; ++k)
        if (near.r2[k] < least) {
          least = near.r2[k];
          out.closest_i = i;
          out.closest_j = near.j[k];
        }
      repel(p, w, i, near, n, out, virial);
      engine.make_pairs(n, near, inverse_spacing, st.shape.intervals, pairs + at);
      at += n;
    }
    row_end[i] = at;
  }
  out.closest = std::sqrt(least);
}

// The rows beyond the atoms' own (see Candidates), from the view of one thread. Arrays have `stride`
// numbers a row, of which the first `used` count.
struct Halo {
  const Candidates &candidates;
  int n_atoms, thread;

  // before the thread's own pairs: its halo
  template <class T>
  void clear(T *array, size_t used, size_t stride) const {
    for (int k = candidates.halo_of[thread]; k < candidates.halo_of[thread + 1]; ++k)
      std::memset(array + (n_atoms + k) * stride, 0, used * sizeof(T));
  }
  // after everybody's: what other threads have for its atoms
  template <class T>
  void collect(T *array, size_t used, size_t stride) const {
    for (int k = candidates.owed_to[thread]; k < candidates.owed_to[thread + 1]; ++k) {
      const int32_t row = candidates.owed[k];
      T *mine = array + candidates.atom[row] * stride;
      const T *theirs = array + (n_atoms + row) * stride;
      for (size_t c = 0; c < used; ++c) mine[c] += theirs[c];
    }
  }
};

// Atoms begin..end hear a layer's messages, but nothing comes of it: their gradients are zero.
template <class T>
void silence(const Work<T> &w, int layer, size_t begin, size_t end) {
  const size_t F = w.shape.hidden, n = (end - begin) * sizeof(T);
  std::memset(w.big_gs[layer & 1] + begin * F, 0, n * F);
  std::memset(w.big_gv[layer & 1] + begin * 3 * F, 0, n * 3 * F);
  if (layer == 0) return;
  std::memset(w.gphi + begin * 3 * F, 0, n * 3 * F);
  std::memset(w.gv + begin * 3 * F, 0, n * 3 * F);
}

template <class T>
void evaluate(const Problem<T> &p, const Engine<T> &engine, Results &out) {
  const Shape &s = p.student->shape;
  const int N = p.n_atoms, layers = s.layers;
  const Ranges ranges{N, p.threads};
  Work<T> w{};
  w.shape = s;
  w.weights = p.weights;
  w.train = p.gradients != nullptr;
  if (w.train) w.gradients = *p.gradients;
  w.n_atoms = N;
  w.species = p.species;
  const size_t n_pairs = p.candidates->j.size();

  static thread_local Arena arena;
  const size_t rows = p.candidates->rows();
  const size_t bytes = place_arrays(w, static_cast<char *>(nullptr), rows, n_pairs);
  char *memory = static_cast<char *>(arena.take(bytes + N * sizeof(int32_t)));
  place_arrays(w, memory, rows, n_pairs);
  int32_t *row_end = reinterpret_cast<int32_t *>(memory + bytes);
  Pair<T> *pairs = const_cast<Pair<T> *>(w.pairs);
  T *cotangent = const_cast<T *>(w.cotangent);
  if (p.by_species) {
    w.phi0 = p.by_species->phi0, w.gphi0 = p.by_species->gphi0;
    w.dh0 = p.by_species->dh0, w.g0 = p.by_species->g0;
  }
  w.row = p.candidates->first.data();
  w.row_end = row_end;
  w.latent = p.latent;
  w.distances = out.distances;
  w.energies = out.energies;
  w.forces = out.forces;

  const size_t F = s.hidden;
  std::vector<Results> part(p.threads, out);
  std::vector<double> virials(size_t(p.threads) * 16, 0.0);
  Barrier barrier(p.threads);
  Pool::shared().run(p.threads, [&](int t) {
    const int begin = ranges.begin(t), end = ranges.begin(t + 1);
    const Halo halo{*p.candidates, N, t};
    double *virial = &virials[16 * size_t(t)];
    for (int i = begin; i < end; ++i) {
      cotangent[i] = p.cotangent ? T(p.cotangent[i]) : T(1);
      out.energies[i] = 0;
      if (out.forces)
        for (int d = 0; d < 3; ++d) out.forces[3L * i + d] = 0;
      std::memset(w.layer[0].big_v + 3 * F * i, 0, 3 * F * sizeof(T));
      std::memcpy(w.layer[0].q + 2 * F * i, w.weights.embedding + F * p.species[i], F * sizeof(T));
    }
    // atoms that layer k sends messages to: later layers hear nothing of the others
    const size_t end_of_own = p.within ? p.within[0] : N;
    auto reached = [&](int k) { return p.within ? p.within[layers - 1 - k] : end; };
    halo.clear(out.energies, 1, 1);
    if (out.forces) halo.clear(out.forces, 3, 3);
    if (t == 0 && !p.by_species) {
      engine.species_forward(w);
      if (w.train) std::memset(w.gphi0, 0, 2 * F * s.n_elements * sizeof(T));
    }
    barrier.wait();  // cotangents of others, phi0
    find_pairs(p, engine, w, pairs, row_end, begin, reached(0), part[t], virial);
    for (int k = 0; k < layers; ++k) {
      T *big_v = w.layer[k].big_v, *q = w.layer[k].q;
      halo.clear(big_v, 3 * F, 3 * F), halo.clear(q, F, 2 * F);
      engine.message_forward(w, k, begin, reached(k));
      barrier.wait();
      halo.collect(big_v, 3 * F, 3 * F), halo.collect(q, F, 2 * F);
      engine.dense_forward(w, k, begin, reached(k));
      if (k + 1 < layers && p.exchange) {
        LayerArrays<T> &next = w.layer[k + 1];
        p.exchange->send(next.phi, next.v, 3 * F);
        // what is sent to ghosts is not looked at, but must stay finite
        std::memset(next.big_v + 3 * F * end_of_own, 0, 3 * F * (N - end_of_own) * sizeof(T));
        std::memset(next.q + 2 * F * end_of_own, 0, 2 * F * (N - end_of_own) * sizeof(T));
      }
      if (k + 1 < layers) barrier.wait();
    }
    for (int k = layers; k > 0; --k) {
      engine.dense_backward(w, k, begin, reached(k - 1));
      if (p.within)
        silence(w, k - 1, p.within[layers - k], p.exchange ? N : p.within[layers + 1 - k]);
      if (k > 1) halo.clear(w.gphi, 3 * F, 3 * F), halo.clear(w.gv, 3 * F, 3 * F);
      barrier.wait();
      engine.message_backward(w, k - 1, begin, reached(k - 1), virial);
      if (k > 1 && p.exchange) p.exchange->collect(w.gphi, w.gv, 3 * F);
      barrier.wait();
      if (k > 1) halo.collect(w.gphi, 3 * F, 3 * F), halo.collect(w.gv, 3 * F, 3 * F);
    }
    halo.collect(out.energies, 1, 1);
    if (out.forces) halo.collect(out.forces, 3, 3);
  });
  if (w.train && !p.by_species) engine.species_backward(w);
  out.closest = 1e300;
  for (const Results &r : part)
    if (r.closest < out.closest) {
      out.closest = r.closest;
      out.closest_i = r.closest_i;
      out.closest_j = r.closest_j;
    }
  if (out.virial)
    for (int k = 0; k < 9; ++k) {
      out.virial[k] = 0;
      for (int t = 0; t < p.threads; ++t) out.virial[k] += virials[16 * size_t(t) + k];
    }
}

}  // namespace distill
