// Candidates for pairs, each pair once.
#pragma once
#include <cstdint>
#include <vector>

namespace distill {

// The atoms of each thread are one range: bounds of range t are begin(t) and begin(t + 1).
struct Ranges {
  int n_atoms, threads;
  int begin(int t) const { return int(int64_t(n_atoms) * t / threads); }
  int of(int atom) const {
    int t = int(int64_t(atom) * threads / n_atoms);
    while (t > 0 && atom < begin(t)) --t;
    while (atom >= begin(t + 1)) ++t;
    return t;
  }
};

// Rows of candidates, one for each atom: first[i]..first[i+1]. A thread must not add to the atoms of
// another one: what it has for them goes to `to`, the atom itself or a row of the thread's own beyond
// the n atoms, its halo, which the atom's thread adds up later.
struct Candidates {
  std::vector<int32_t> first, j, to;
  std::vector<double> shift;  // 3 a pair, in Å: j's position + shift is the neighbour; or empty
  // halo_of[t]..halo_of[t + 1]: the halo rows of thread t; atom: whose each is
  std::vector<int32_t> halo_of, atom;
  // owed_to[t]..owed_to[t + 1]: entries of `owed`, the halo rows of the atoms of thread t
  std::vector<int32_t> owed_to, owed;

  int rows() const { return int(first.size()) - 1 + int(atom.size()); }

  // from pairs that each stand for both directions; shifts may be null
  void set(const Ranges &ranges, int64_t n_pairs, const int32_t *i, const int32_t *j,
           const double *shifts);
};

// Pairs within cutoff + skin, kept until an atom has moved half the skin (or the box has changed).
class NeighbourList {
 public:
  NeighbourList(double cutoff, double skin) : cutoff_(cutoff), skin_(skin) {}

  // positions N x 3; box 3 x 3, rows as vectors, and which of them repeat; null: no box. Throws
  // std::runtime_error for coordinates that are not finite and for a box without a volume.
  void update(int n_atoms, const double *positions, const double *box, const bool *periodic,
              int threads);

  const Candidates &candidates() const { return candidates_; }
  // order()[k]: the user's index of the k-th atom of the candidates; empty: as they are
  const std::vector<int32_t> &order() const { return order_; }
  int64_t rebuilds() const { return rebuilds_; }
  double cutoff() const { return cutoff_; }
  double skin() const { return skin_; }

 private:
  bool still_good(int n_atoms, const double *positions, const double *box, const bool *periodic,
                  int threads) const;
  void build(int n_atoms, const double *positions, const double *box, const bool *periodic,
             int threads);

  double cutoff_, skin_;
  int64_t rebuilds_ = 0;
  int threads_ = 0;
  Candidates candidates_;
  std::vector<int32_t> order_;
  std::vector<double> built_positions_;
  double box_[9] = {};
  bool has_box_ = false, periodic_[3] = {};
};

}  // namespace distill
