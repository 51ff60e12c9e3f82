// A student's weights: from torch's parameters to the arrays that the network is run with, and back.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "splines.h"
#include "work.h"

namespace distill {

constexpr double PI = 3.14159265358979323846;

// Everything about a student but its weights. From a table of doubles, which Python makes:
// [hidden, layers, n_radial, n_elements, intervals, cutoff, softening], then for each element
// [atomic number, reference energy in eV, ZBL's inverse screening length in 1/Å, covalent radius].
// Files that were exported earlier have no softening.
struct Student {
  Shape shape;
  int n_radial;
  double cutoff;
  struct Element {
    double z, reference, inverse_screening, radius;
  };
  std::vector<Element> elements;
  int32_t species_of[256];

  Student(const double *meta, int64_t length) {
    const int64_t header = length < 6 ? 0 : length - 4 * int64_t(meta[3]);
    if (header != 6 && header != 7)
      throw std::runtime_error("The description of the student has a wrong length.");
    shape.hidden = int(meta[0]);
    shape.layers = int(meta[1]);
    n_radial = int(meta[2]);
    shape.n_elements = int(meta[3]);
    shape.intervals = int(meta[4]);
    cutoff = meta[5];
    shape.softening = header == 7 ? meta[6] : 1e-8;
    shape.half = (shape.hidden / 2 + 15) / 16 * 16;
    if (shape.hidden < 16 || shape.hidden > 512 || shape.hidden % 16 || shape.layers < 1 ||
        shape.layers > LAYERS_AT_MOST || shape.intervals < 8)
      throw std::runtime_error(
          "The kernel takes 16 to 512 features, a multiple of 16, and at most 8 layers; use "
          "backend='torch'.");
    for (int &z : species_of) z = -1;
    for (int k = 0; k < shape.n_elements; ++k) {
      const double *e = meta + header + 4 * k;
      elements.push_back({e[0], e[1], e[2], e[3]});
      species_of[int(e[0]) & 255] = k;
    }
  }
};

// Hands out consecutive arrays, each on a cache line; with base null it only counts.
template <class T>
struct Places {
  T *base;
  size_t used = 0;
  T *operator()(size_t n) {
    T *at = base ? base + used : nullptr;
    used += (n + 15) / 16 * 16;
    return at;
  }
};

template <class T>
size_t place(const Shape &s, T *base, Weights<T> &w) {
  Places<T> next{base};
  const size_t F = s.hidden, H = s.half;
  w.embedding = next(s.n_elements * F);
  for (int k = 0; k < s.layers; ++k) {
    LayerWeights<T> &l = w.layer[k];
    const size_t P = s.parts(k) * F, A = s.outputs(k) * F;
    l.phi1_t = next(F * F), l.phi1 = next(F * F), l.phi1_b = next(F);
    l.phi2_t = next(F * P), l.phi2 = next(F * P), l.phi2_b = next(P);
    l.mix_t = next(2 * F * F), l.mix = next(2 * F * F);
    l.a1_t = next(2 * F * H), l.a1 = next(2 * F * H), l.a1_b = next(H);
    l.a2_t = next(A * H), l.a2 = next(A * H), l.a2_b = next(A);
    l.table = next(s.rows() * P);
  }
  w.read1_t = next(F * H), w.read1 = next(F * H), w.read1_b = next(H);
  w.read2 = next(H), w.read2_b = next(1);
  return next.used;
}

template <class T>
size_t place(const Shape &s, T *base, Gradients<T> &g) {
  Places<T> next{base};
  const size_t F = s.hidden, H = s.half;
  g.embedding = next(s.n_elements * F);
  for (int k = 0; k < s.layers; ++k) {
    LayerGradients<T> &l = g.layer[k];
    const size_t P = s.parts(k) * F, A = s.outputs(k) * F;
    l.phi1 = next(F * F), l.phi1_b = next(F), l.phi2 = next(F * P), l.phi2_b = next(P);
    l.mix = next(2 * F * F), l.a1 = next(2 * F * H), l.a1_b = next(H);
    l.a2 = next(A * H), l.a2_b = next(A), l.table = next(s.rows() * P);
  }
  g.read1 = next(F * H), g.read1_b = next(H), g.read2 = next(H), g.read2_b = next(1);
  return next.used;
}

// The distance that filters see, in Angstrom: see held() in distill/student/radial.py.
inline double held(double r) { return r + 0.58 * std::exp(-std::pow(r / 0.4, 4)); }

// What a filter is linear in, at r: Bessel functions times the cutoff function, and that alone.
inline void radial_basis(const Student &st, double r, double *values) {
  r = held(r);
  const double c = st.cutoff, x = r / c, y = 1 - x, norm = std::sqrt(2.0 / c);
  const double envelope = x < 1 ? y * y * y * (1 + x * (3 + 6 * x)) : 0.0;
  for (int m = 1; m <= st.n_radial; ++m) {
    const double w = m * PI / c;
    values[m - 1] = norm * std::sin(w * r) / r * envelope;
  }
  values[st.n_radial] = envelope;
}

// Spline coefficients of the radial basis, rows() x (n_radial + 1): least squares over five points
// of each interval, with value, slope and curvature pinned to zero at the cutoff.
template <class T>
std::vector<T> basis_splines(const Student &st) {
  const int rows = st.shape.rows(), columns = st.n_radial + 1, points = 5, BAND = 6;
  const double h = st.cutoff / st.shape.intervals;
  // normal equations, banded: band[r][k] is the matrix at (r, r + k)
  std::vector<double> band(size_t(rows) * BAND, 0.0), right(size_t(rows) * columns, 0.0);
  std::vector<double> values(columns), none(columns, 0.0);
  auto demand = [&](int first, const double *b, const double *value, double weight) {
    for (int k = 0; k < 6; ++k) {
      for (int l = k; l < 6; ++l) band[size_t(first + k) * BAND + l - k] += weight * b[k] * b[l];
      for (int m = 0; m < columns; ++m)
        right[size_t(first + k) * columns + m] += weight * b[k] * value[m];
    }
  };
  double b[6];
  for (int k = 0; k < st.shape.intervals; ++k)
    for (int p = 0; p < points; ++p) {
      const double t = (p + 0.5) / points;
      radial_basis(st, (k + t) * h, values.data());
      b_splines(t, b);
      demand(k, b, values.data(), 1.0);
    }
  const int last = st.shape.intervals - 1;
  b_splines(1.0, b), demand(last, b, none.data(), 1e7);
  b_spline_slopes(1.0, b), demand(last, b, none.data(), 1e7);
  b_spline_second(1.0, b), demand(last, b, none.data(), 1e7);
  // Cholesky in the band, then forward and back
  for (int r = 0; r < rows; ++r) {
    double *d = &band[size_t(r) * BAND];
    const double root = std::sqrt(d[0]);
    for (int k = 0; k < BAND; ++k) d[k] /= root;
    for (int k = 1; k < BAND && r + k < rows; ++k)
      for (int l = k; l < BAND; ++l) band[size_t(r + k) * BAND + l - k] -= d[k] * d[l];
    for (int m = 0; m < columns; ++m) {
      double &x = right[size_t(r) * columns + m];
      x /= root;
      for (int k = 1; k < BAND && r + k < rows; ++k) right[size_t(r + k) * columns + m] -= d[k] * x;
    }
  }
  for (int r = rows - 1; r >= 0; --r)
    for (int m = 0; m < columns; ++m) {
      double &x = right[size_t(r) * columns + m];
      for (int k = 1; k < BAND && r + k < rows; ++k)
        x -= band[size_t(r) * BAND + k] * right[size_t(r + k) * columns + m];
      x /= band[size_t(r) * BAND];
    }
  return std::vector<T>(right.begin(), right.end());
}

// Walks through torch's parameters, flat and in the order of named_parameters(), beside the places
// of the same arrays here: visit(flat offset, rows, columns, place). Returns their number.
template <class Target, class Visit>
size_t walk(const Student &st, const Target &w, Visit visit) {
  const Shape &s = st.shape;
  const size_t F = s.hidden, h = s.hidden / 2;
  size_t at = 0;
  auto step = [&](size_t rows, size_t columns, auto place) {
    visit(at, rows, columns, place);
    at += rows * columns;
  };
  step(s.n_elements, F, w.embedding);
  for (int k = 0; k < s.layers; ++k) {
    auto &l = w.layer[k];
    const size_t P = s.parts(k) * F;
    step(F, F, l.phi1), step(1, F, l.phi1_b);
    step(P, F, l.phi2), step(1, P, l.phi2_b);
    at += P * st.n_radial + P;  // the filter goes by way of its table
  }
  for (int k = 0; k < s.layers; ++k) {
    auto &l = w.layer[k];
    const size_t A = s.outputs(k) * F;
    step(2 * F, F, l.mix);
    step(h, 2 * F, l.a1), step(1, h, l.a1_b);
    step(A, h, l.a2), step(1, A, l.a2_b);
  }
  step(h, F, w.read1), step(1, h, w.read1_b);
  step(1, h, w.read2), step(1, 1, w.read2_b);
  return at;
}

// Where the filter's weight of each layer starts in the flat parameters.
inline std::vector<size_t> filter_offsets(const Student &st) {
  const size_t F = st.shape.hidden;
  size_t at = st.shape.n_elements * F;
  std::vector<size_t> offsets;
  for (int k = 0; k < st.shape.layers; ++k) {
    const size_t P = st.shape.parts(k) * F;
    at += F * F + F + P * F + P;
    offsets.push_back(at);
    at += P * st.n_radial + P;
  }
  return offsets;
}

inline size_t parameter_count(const Student &st) {
  Weights<float> w;
  place<float>(st.shape, nullptr, w);
  return walk(st, w, [](size_t, size_t, size_t, const float *) {});
}

// columns of an array here that torch's does not have are the padding of `half`
inline size_t padded(const Shape &s, size_t columns) {
  return columns == size_t(s.hidden / 2) ? s.half : columns;
}

template <class T>
void transpose(const T *from, size_t rows, size_t columns, T *to) {
  for (size_t r = 0; r < rows; ++r)
    for (size_t c = 0; c < columns; ++c) to[c * rows + r] = from[r * columns + c];
}

// flat -> packed, which must hold place(shape, nullptr, weights) zeros to begin with
template <class T>
void pack(const Student &st, const Engine<T> &engine, const T *flat, const std::vector<T> &basis,
          T *packed) {
  const Shape &s = st.shape;
  Weights<T> w;
  place(s, packed, w);
  walk(st, w, [&](size_t at, size_t rows, size_t columns, const T *to) {
    const size_t width = padded(s, columns);
    for (size_t r = 0; r < rows; ++r)
      std::memcpy(const_cast<T *>(to) + r * width, flat + at + r * columns, columns * sizeof(T));
  });
  const size_t F = s.hidden, H = s.half;
  auto turn = [](const T *from, size_t rows, size_t columns, const T *to) {
    transpose(from, rows, columns, const_cast<T *>(to));
  };
  const std::vector<size_t> filters = filter_offsets(st);
  const int columns = st.n_radial + 1;
  std::vector<T> turned;
  for (int k = 0; k < s.layers; ++k) {
    const LayerWeights<T> &l = w.layer[k];
    const size_t P = s.parts(k) * F, A = s.outputs(k) * F;
    turn(l.phi1, F, F, l.phi1_t), turn(l.phi2, P, F, l.phi2_t), turn(l.mix, 2 * F, F, l.mix_t);
    turn(l.a1, H, 2 * F, l.a1_t), turn(l.a2, A, H, l.a2_t);
    turned.resize(columns * P);
    transpose(flat + filters[k], P, st.n_radial, turned.data());
    std::memcpy(&turned[st.n_radial * P], flat + filters[k] + P * st.n_radial, P * sizeof(T));
    engine.gemm(s.rows(), columns, int(P), basis.data(), columns, 1, turned.data(), long(P),
                const_cast<T *>(l.table), long(P), nullptr, false);
  }
  turn(w.read1, H, F, w.read1_t);
}

// gradients by what was packed -> gradients by the flat parameters (overwritten)
template <class T>
void unpack(const Student &st, const Engine<T> &engine, const Gradients<T> &g,
            const std::vector<T> &basis, T *flat) {
  const Shape &s = st.shape;
  walk(st, g, [&](size_t at, size_t rows, size_t columns, const T *from) {
    const size_t width = padded(s, columns);
    for (size_t r = 0; r < rows; ++r)
      std::memcpy(flat + at + r * columns, from + r * width, columns * sizeof(T));
  });
  const std::vector<size_t> filters = filter_offsets(st);
  const int columns = st.n_radial + 1;
  std::vector<T> turned;
  for (int k = 0; k < s.layers; ++k) {
    const size_t P = s.parts(k) * s.hidden;
    turned.resize(columns * P);
    engine.gemm(columns, s.rows(), int(P), basis.data(), 1, columns, g.layer[k].table, long(P),
                turned.data(), long(P), nullptr, false);
    transpose(turned.data(), st.n_radial, P, flat + filters[k]);
    std::memcpy(flat + filters[k] + P * st.n_radial, &turned[st.n_radial * P], P * sizeof(T));
  }
}

}  // namespace distill
