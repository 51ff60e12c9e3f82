// What one evaluation works on: plain pointers, shared by the driver and the code compiled for each
// instruction set. See distill/student/painn.py for the network; the names are the same there.
#pragma once
#include <cstdint>

namespace distill {

// Sizes of a student. `half` is the width of the update's network and of the readout, hidden / 2
// rounded up to a multiple of 16; what is added has zero weights. `intervals` are those of the
// filters' splines between 0 and the cutoff.
struct Shape {
  int hidden, layers, half, n_elements, intervals;
  double softening;  // added to squared lengths of vectors
  int rows() const { return intervals + 5; }  // coefficients of a spline
  int parts(int layer) const { return layer > 0 ? 3 : 2; }             // of a message's filter
  int outputs(int layer) const { return layer + 1 < layers ? 3 : 2; }  // of an update's network
};

// A pair of atoms within the cutoff, seen from its centre i.
template <class T>
struct Pair {
  T u[3];       // unit vector from i to j
  T inverse_r;  // 1/Å
  T b[6];       // quintic B-spline: the filter is the sum of b[k] times row first + k of the table
  T d[6];       // and its derivative by r that of d[k] times the same rows
  T r;          // Å
  int32_t j;    // the neighbour
  int32_t to;   // where what the centre does to the neighbour is added: see Candidates
  int32_t first;
};

// Some neighbours of one atom, as find_pairs hands them on: vectors in Å, squared distances.
struct Near {
  static constexpr int AT_MOST = 64;
  double x[AT_MOST], y[AT_MOST], z[AT_MOST], r2[AT_MOST];
  int32_t j[AT_MOST], to[AT_MOST];
};

constexpr int LAYERS_AT_MOST = 8;

// Weights of a layer: (in, out) for the way forward ("_t"), (out, in) for the way back.
template <class T>
struct LayerWeights {
  const T *phi1_t, *phi1, *phi1_b, *phi2_t, *phi2, *phi2_b;
  const T *table;  // rows x parts * hidden: the filters' splines, the cutoff function included
  const T *mix_t, *mix;
  const T *a1_t, *a1, *a1_b, *a2_t, *a2, *a2_b;
};

template <class T>
struct Weights {
  LayerWeights<T> layer[LAYERS_AT_MOST];
  const T *embedding;  // n_elements x hidden
  const T *read1_t, *read1, *read1_b, *read2, *read2_b;
};

// Gradients by the weights, (out, in), and by the table.
template <class T>
struct LayerGradients {
  T *phi1, *phi1_b, *phi2, *phi2_b, *table, *mix, *a1, *a1_b, *a2, *a2_b;
};

template <class T>
struct Gradients {
  LayerGradients<T> layer[LAYERS_AT_MOST];
  T *embedding, *read1, *read1_b, *read2, *read2_b;
};

// Arrays of one layer, kept from the way forward for the way back; N atoms. Those that messages are
// added to (big_v, q, gphi, gv) have M rows, M - N of them for the atoms of other threads. s, g and t
// are there for training only.
template <class T>
struct LayerArrays {
  T *s, *v;        // what comes in: N x F, N x 3 x F
  T *dh, *g, *phi; // message's network: silu'(h) N x F, silu(h) N x F, result N x parts F
  T *big_v;        // M x 3 x F, vectors after the message
  T *q;            // M x 2F: scalars after the message, norms of the mixed vectors
  T *mixed;        // N x 3 x 2F: Uv and Vv
  T *dp, *t, *a;   // update's network: silu'(p) N x H, silu(p) N x H, result N x outputs F
};

// What tells how unlike the training set an atom is: means of the last scalars for each element
// (n_elements x hidden), and a matrix (in, out) that makes their deviations white.
template <class T>
struct Latent {
  const T *mean, *whitening;
};

template <class T>
struct Work {
  Shape shape;
  Weights<T> weights;
  Gradients<T> gradients;  // used when `train`
  bool train;              // gradients by the weights instead of forces
  int n_atoms;
  const int32_t *species;
  // pairs of centre i: row[i]..row_end[i], each for both directions
  const Pair<T> *pairs;
  const int32_t *row, *row_end;
  const T *cotangent;  // dE/d(energy of an atom), N
  LayerArrays<T> layer[LAYERS_AT_MOST];
  T *phi0;                   // n_elements x 2F: the first message's network, a function of species
  T *dh0, *g0;               // n_elements x F, as LayerArrays
  T *gphi0;                  // n_elements x 2F
  T *gs;                     // N x F
  T *gphi, *gv;              // M x 3F
  T *big_gs[2], *big_gv[2];  // gradients by q's scalars and big_v, of odd and even layers
  Latent<T> latent;          // with distances
  double *distances;         // N; or null
  double *energies;          // M; the network's part is added
  double *forces;            // M x 3; added
};

// One set of functions for each instruction set and precision. Each works on atoms begin..end.
template <class T>
struct Engine {
  // n pairs with their splines; inverse_spacing: of the splines' knots, in 1/Å
  void (*make_pairs)(int n, const Near &near, double inverse_spacing, int intervals, Pair<T> *pairs);
  // phi0 for all species
  void (*species_forward)(const Work<T> &);
  void (*species_backward)(const Work<T> &);
  void (*message_forward)(const Work<T> &, int layer, int begin, int end);
  // the update, then the next layer's message network or the readout, which starts the way back
  void (*dense_forward)(const Work<T> &, int layer, int begin, int end);
  // virial: 9 sums, dE/d(strain)
  void (*message_backward)(const Work<T> &, int layer, int begin, int end, double *virial);
  // this layer's message network, then the update of the layer before it
  void (*dense_backward)(const Work<T> &, int layer, int begin, int end);
  // C (n x m) = or += A B; A has element strides, B rows of ldb. For tests and packing.
  void (*gemm)(int n, int k, int m, const T *a, long row_stride, long k_stride, const T *b,
               long ldb, T *c, long ldc, const T *bias, bool add);
};

}  // namespace distill
