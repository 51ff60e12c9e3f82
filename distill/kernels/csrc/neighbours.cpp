#include "neighbours.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>

namespace distill {

void Candidates::set(const Ranges &ranges, int64_t n_pairs, const int32_t *pi, const int32_t *pj,
                     const double *shifts) {
  const int n = ranges.n_atoms, threads = ranges.threads;
  std::vector<int32_t> owner;
  if (threads > 1) {
    owner.resize(n);
    for (int t = 0; t < threads; ++t)
      std::fill(owner.begin() + ranges.begin(t), owner.begin() + ranges.begin(t + 1), t);
  }
  // whether a pair stands in j's row: pairs of two threads are shared out between them
  auto turned = [&](int64_t p) {
    return !owner.empty() && owner[pi[p]] != owner[pj[p]] && ((pi[p] ^ pj[p]) & 1);
  };
  first.assign(n + 1, 0);
  for (int64_t p = 0; p < n_pairs; ++p) ++first[(turned(p) ? pj[p] : pi[p]) + 1];
  for (int i = 0; i < n; ++i) first[i + 1] += first[i];
  std::vector<int32_t> next(first.begin(), first.end() - 1);
  j.resize(n_pairs);
  shift.resize(shifts ? 3 * size_t(n_pairs) : 0);
  for (int64_t p = 0; p < n_pairs; ++p) {
    const bool turn = turned(p);
    const int32_t at = next[turn ? pj[p] : pi[p]]++;
    j[at] = turn ? pi[p] : pj[p];
    if (shifts)
      for (int x = 0; x < 3; ++x) shift[3 * size_t(at) + x] = (turn ? -1.0 : 1.0) * shifts[3 * p + x];
  }

  to = j;
  atom.clear();
  owed.clear();
  halo_of.assign(threads == 1 ? 2 : 1, 0);
  owed_to = halo_of;
  if (threads == 1) return;
  std::vector<int32_t> row(n, -1);
  for (int t = 0; t < threads; ++t) {
    const int32_t from = first[ranges.begin(t)], end = first[ranges.begin(t + 1)];
    for (int32_t e = from; e < end; ++e)
      if (owner[j[e]] != t) row[j[e]] = 0;
    for (int i = 0; i < n; ++i)  // in the order of the atoms
      if (row[i] == 0) {
        row[i] = n + int32_t(atom.size());
        atom.push_back(i);
      }
    for (int32_t e = from; e < end; ++e)
      if (owner[j[e]] != t) to[e] = row[j[e]];
    for (size_t k = halo_of[t]; k < atom.size(); ++k) row[atom[k]] = -1;
    halo_of.push_back(int32_t(atom.size()));
  }
  for (int t = 0; t < threads; ++t) {
    for (size_t k = 0; k < atom.size(); ++k)
      if (owner[atom[k]] == t) owed.push_back(int32_t(k));
    owed_to.push_back(int32_t(owed.size()));
  }
}

namespace {

constexpr double CLOSEST = 0.3;  // Å, as in distill/student/neighbours.py

// A box whose three vectors span all atoms, periodic or not, and positions as fractions of it.
struct Frame {
  double box[9], inverse[9], origin[3], height[3];
};

void cross(const double *a, const double *b, double *c) {
  c[0] = a[1] * b[2] - a[2] * b[1];
  c[1] = a[2] * b[0] - a[0] * b[2];
  c[2] = a[0] * b[1] - a[1] * b[0];
}

double length(const double *a) { return std::sqrt(a[0] * a[0] + a[1] * a[1] + a[2] * a[2]); }

Frame make_frame(int n, const double *x, const double *box, const bool *periodic) {
  Frame f;
  for (int k = 0; k < 9; ++k) f.box[k] = 0;
  for (int d = 0; d < 3; ++d)
    if (periodic[d])
      for (int c = 0; c < 3; ++c) f.box[3 * d + c] = box[3 * d + c];
  // the other vectors stand upright on the periodic ones
  for (int d = 0; d < 3; ++d) {
    if (periodic[d]) continue;
    double *v = f.box + 3 * d;
    const double *a = f.box + 3 * ((d + 1) % 3), *b = f.box + 3 * ((d + 2) % 3);
    if (length(a) > 0 && length(b) > 0) {
      cross(a, b, v);
    } else {
      const double *known = length(a) > 0 ? a : b;
      double axis[3] = {0, 0, 0};
      if (length(known) > 0) {
        int least = 0;
        for (int c = 1; c < 3; ++c)
          if (std::fabs(known[c]) < std::fabs(known[least])) least = c;
        axis[least] = 1;
        cross(known, axis, v);
      } else {
        v[d] = 1;
      }
    }
    const double l = length(v);
    if (!(l > 0)) break;  // two periodic vectors are parallel: found below
    for (int c = 0; c < 3; ++c) v[c] /= l;
    double low = 0, high = 0;
    for (int i = 0; i < n; ++i) {
      const double p = x[3 * i] * v[0] + x[3 * i + 1] * v[1] + x[3 * i + 2] * v[2];
      low = i ? std::min(low, p) : p;
      high = i ? std::max(high, p) : p;
    }
    for (int c = 0; c < 3; ++c) v[c] *= high - low + 1e-3;
  }
  double across[9];
  for (int d = 0; d < 3; ++d)
    cross(f.box + 3 * ((d + 1) % 3), f.box + 3 * ((d + 2) % 3), across + 3 * d);
  const double volume = f.box[0] * across[0] + f.box[1] * across[1] + f.box[2] * across[2];
  double scale = 1;
  for (int d = 0; d < 3; ++d) scale *= length(f.box + 3 * d);
  if (!(std::fabs(volume) > 1e-9 * scale) || !(scale > 0))
    throw std::runtime_error(
        "The system is periodic along a direction without a cell vector (or the vectors lie in one "
        "plane); set the cell, or switch the periodicity off.");
  for (int d = 0; d < 3; ++d) {
    f.height[d] = std::fabs(volume) / length(across + 3 * d);
    for (int c = 0; c < 3; ++c) f.inverse[3 * c + d] = across[3 * d + c] / volume;
    // there are (reach / height)^3 images to look at
    if (periodic[d] && f.height[d] < CLOSEST) {
      char thin[32];
      std::snprintf(thin, sizeof thin, "%.2g", f.height[d]);
      throw std::runtime_error(std::string("The cell is ") + thin +
                               " Å thin, so that every atom overlaps with its own image; set the cell, in "
                               "Å, or switch the periodicity off.");
    }
  }
  return f;
}

}  // namespace

bool NeighbourList::still_good(int n, const double *x, const double *box, const bool *periodic,
                               int threads) const {
  if (built_positions_.size() != size_t(3) * n || threads != threads_ || has_box_ != (box != nullptr))
    return false;
  if (box && (std::memcmp(box, box_, sizeof box_) || std::memcmp(periodic, periodic_, 3)))
    return false;
  const double *old = built_positions_.data(), limit = 0.25 * skin_ * skin_;
  bool near = true;
  for (int i = 0; i < n; ++i) {
    const double dx = x[3 * i] - old[3 * i], dy = x[3 * i + 1] - old[3 * i + 1],
                 dz = x[3 * i + 2] - old[3 * i + 2];
    near &= dx * dx + dy * dy + dz * dz <= limit;  // NaN is not near
  }
  return near;
}

void NeighbourList::update(int n, const double *x, const double *box, const bool *periodic,
                           int threads) {
  if (still_good(n, x, box, periodic, threads)) return;
  for (int k = 0; k < 3 * n; ++k)
    if (!std::isfinite(x[k]))
      throw std::runtime_error("Atom " + std::to_string(k / 3) +
                               " has a coordinate that is NaN or infinite; look at how it came "
                               "about.");
  build(n, x, box, periodic, threads);
  built_positions_.assign(x, x + 3 * size_t(n));
  threads_ = threads;
  has_box_ = box != nullptr;
  if (box) {
    std::memcpy(box_, box, sizeof box_);
    std::memcpy(periodic_, periodic, 3);
  }
  ++rebuilds_;
}

void NeighbourList::build(int n, const double *x, const double *box, const bool *periodic,
                          int threads) {
  const double reach = cutoff_ + skin_, reach2 = reach * reach;
  std::vector<int32_t> pi, pj;
  std::vector<double> shifts;
  const bool none[3] = {false, false, false};
  if (!box) periodic = none;
  const bool repeats = periodic[0] || periodic[1] || periodic[2];
  order_.clear();
  if (!repeats && n <= 400) {
    for (int i = 0; i < n; ++i)
      for (int j = i + 1; j < n; ++j) {
        const double dx = x[3 * j] - x[3 * i], dy = x[3 * j + 1] - x[3 * i + 1],
                     dz = x[3 * j + 2] - x[3 * i + 2];
        if (dx * dx + dy * dy + dz * dz < reach2) {
          pi.push_back(i);
          pj.push_back(j);
        }
      }
    candidates_.set({n, threads}, int64_t(pi.size()), pi.data(), pj.data(), nullptr);
    return;
  }

  const Frame frame = make_frame(n, x, box, periodic);
  int bins[3], range[3];
  for (int d = 0; d < 3; ++d) {
    bins[d] = std::max(1, std::min(64, int(frame.height[d] / reach)));
    range[d] = int(std::ceil(reach * bins[d] / frame.height[d]));
    if (!periodic[d]) range[d] = std::min(range[d], bins[d] - 1);
  }
  // low corner of what is not periodic
  double low[3] = {0, 0, 0};
  std::vector<double> fraction(size_t(3) * n);
  for (int i = 0; i < n; ++i)
    for (int d = 0; d < 3; ++d) {
      double s = 0;
      for (int c = 0; c < 3; ++c) s += x[3 * i + c] * frame.inverse[3 * c + d];
      fraction[3 * size_t(i) + d] = s;
      if (!periodic[d]) low[d] = i ? std::min(low[d], s) : s;
    }
  std::vector<int32_t> wraps(size_t(3) * n), bin(n);
  std::vector<double> wrapped(size_t(3) * n);
  const int n_bins = bins[0] * bins[1] * bins[2];
  std::vector<int32_t> start(n_bins + 1, 0);
  for (int i = 0; i < n; ++i) {
    int at[3];
    for (int d = 0; d < 3; ++d) {
      double s = fraction[3 * size_t(i) + d] - low[d];
      const double turn = periodic[d] ? std::floor(s) : 0.0;
      wraps[3 * size_t(i) + d] = int32_t(turn);
      at[d] = std::max(0, std::min(bins[d] - 1, int((s - turn) * bins[d])));
    }
    for (int c = 0; c < 3; ++c) {
      double y = x[3 * i + c];
      for (int d = 0; d < 3; ++d) y -= wraps[3 * size_t(i) + d] * frame.box[3 * d + c];
      wrapped[3 * size_t(i) + c] = y;
    }
    bin[i] = (at[0] * bins[1] + at[1]) * bins[2] + at[2];
    ++start[bin[i] + 1];
  }
  for (int b = 0; b < n_bins; ++b) start[b + 1] += start[b];
  std::vector<int32_t> sorted(n), next(start.begin(), start.end() - 1);
  for (int i = 0; i < n; ++i) sorted[next[bin[i]]++] = i;
  // atoms that are near each other in space become near in memory
  std::vector<int32_t> place(n);
  for (int k = 0; k < n; ++k) place[sorted[k]] = k;

  for (int a = 0; a < bins[0]; ++a)
    for (int b = 0; b < bins[1]; ++b)
      for (int c = 0; c < bins[2]; ++c) {
        const int home = (a * bins[1] + b) * bins[2] + c;
        for (int da = -range[0]; da <= range[0]; ++da)
          for (int db = -range[1]; db <= range[1]; ++db)
            for (int dc = -range[2]; dc <= range[2]; ++dc) {
              const int to[3] = {a + da, b + db, c + dc};
              int cell[3], image[3];
              bool there = true;
              for (int d = 0; d < 3; ++d) {
                image[d] = to[d] >= 0 ? to[d] / bins[d] : -((bins[d] - 1 - to[d]) / bins[d]);
                cell[d] = to[d] - image[d] * bins[d];
                there &= periodic[d] || image[d] == 0;
              }
              if (!there) continue;
              double away[3];
              for (int x_ = 0; x_ < 3; ++x_)
                away[x_] = image[0] * frame.box[x_] + image[1] * frame.box[3 + x_] +
                           image[2] * frame.box[6 + x_];
              const int other = (cell[0] * bins[1] + cell[1]) * bins[2] + cell[2];
              // of an atom and its own image, one direction stands for both
              const bool forward = image[0] > 0 || (image[0] == 0 && (image[1] > 0 ||
                                   (image[1] == 0 && image[2] > 0)));
              for (int ki = start[home]; ki < start[home + 1]; ++ki) {
                const int i = sorted[ki];
                const double px = wrapped[3 * size_t(i)] - away[0],
                             py = wrapped[3 * size_t(i) + 1] - away[1],
                             pz = wrapped[3 * size_t(i) + 2] - away[2];
                for (int kj = start[other]; kj < start[other + 1]; ++kj) {
                  if (kj < ki || (kj == ki && !forward)) continue;
                  const int j = sorted[kj];
                  const double dx = wrapped[3 * size_t(j)] - px,
                               dy = wrapped[3 * size_t(j) + 1] - py,
                               dz = wrapped[3 * size_t(j) + 2] - pz;
                  if (!(dx * dx + dy * dy + dz * dz < reach2)) continue;
                  pi.push_back(ki);
                  pj.push_back(kj);
                  if (repeats)
                    for (int x_ = 0; x_ < 3; ++x_) {
                      double s = 0;
                      for (int d = 0; d < 3; ++d)
                        s += (image[d] - wraps[3 * size_t(j) + d] + wraps[3 * size_t(i) + d]) *
                             frame.box[3 * d + x_];
                      shifts.push_back(s);
                    }
                }
              }
            }
      }
  candidates_.set({n, threads}, int64_t(pi.size()), pi.data(), pj.data(),
                  repeats ? shifts.data() : nullptr);
  order_ = std::move(sorted);
}

}  // namespace distill
