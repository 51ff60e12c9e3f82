// What the library offers to others, in C. All return 0, or -1 with a sentence in
// distill_error(). Positions, energies and forces are float64, in Å, eV and eV/Å; `precision` is
// that of the network and of `packed`: 32 or 64.
#pragma once
#include <cstdint>

#define DISTILL_API extern "C" __attribute__((visibility("default")))

DISTILL_API const char *distill_error();
// "avx512", "avx2" or "baseline"; set_isa takes a lesser one than the machine has, for tests
DISTILL_API const char *distill_isa();
DISTILL_API int distill_set_isa(const char *name);

// How many parameters and how many packed numbers the student of this description has.
DISTILL_API int distill_sizes(const double *meta, int64_t meta_length, int64_t *parameters,
                              int64_t *packed);
// Torch's parameters, flat, to the arrays that the network runs on.
DISTILL_API int distill_pack(const double *meta, int64_t meta_length, int precision,
                             const void *parameters, void *packed);

// numbers: atomic numbers. Pairs from outside: edges (i, j) as in Student, both directions listed;
// shift (E x 3) or null. weights: dE/d(energy of atom), N, or null: ones. energies N (with the
// isolated atoms'), forces N x 3 (minus the gradient), virial 9 = stress x volume, closest 3: the
// smallest distance and its two atoms; each may be null. latent: means (n_elements x hidden) of the
// last scalars and a whitening matrix (hidden x hidden; in, out), in `precision`; distances N: how far
// each atom's scalars are from the mean; both may be null.
DISTILL_API int distill_evaluate(const double *meta, int64_t meta_length, int precision,
                                 const void *packed, int64_t n_atoms, const int64_t *numbers,
                                 const double *positions, int64_t n_edges, const int64_t *centre,
                                 const int64_t *neighbour, const double *shift,
                                 const double *weights, int threads, double *energies,
                                 double *forces, double *virial, double *closest,
                                 const void *latent, double *distances);

// Of a system's part, with the ghost atoms around it: the first n_owned of n_atoms atoms count. Pairs
// (centre, neighbour) with vectors (E x 3) from one to the other, as they stand in full neighbour
// lists of all atoms within layers - 1 cutoffs of the owned ones; those of one centre follow each
// other. ids, or null: atoms with the same are images of one atom, and one of them (an owned one, or
// the one nearest to them) stands for all; then lists of the owned atoms suffice where all ghosts
// are their images. positions (N x 3): needed with images only. energies n_owned, forces n_atoms x 3:
// minus the gradient of the owned atoms' energies. closest, latent, distances (n_owned) as in
// distill_evaluate. images 3 x 2, or null: atoms that are images of each other, in up to three
// independent directions, the second one standing for the first; else -1.
DISTILL_API int distill_evaluate_part(const double *meta, int64_t meta_length, int precision,
                                      const void *packed, int64_t n_atoms, int64_t n_owned,
                                      const int32_t *numbers, int64_t n_pairs,
                                      const int32_t *centre, const int32_t *neighbour,
                                      const double *vectors, const int32_t *ids,
                                      const double *positions, double *energies, double *forces,
                                      double *virial, double *closest, const void *latent,
                                      double *distances, int32_t *images);

// A rank that exchanges features with others. First, when its neighbour list is new: rows of owned
// atoms, each pair of owned ones in one of them, pairs with ghosts in the owned atom's; entries are
// taken modulo mask + 1. The list is one of distill_new_list.
DISTILL_API int distill_rank_pairs(int64_t list, const double *meta, int64_t meta_length,
                                   int64_t n_atoms, int64_t n_owned, const int32_t *numbers,
                                   const int32_t *row_lengths, const int32_t *const *rows,
                                   int32_t mask);
// exchange(context, direction, first, second, width): 1: copies rows of owned atoms to their ghosts
// everywhere, in two arrays with rows of `width` numbers of the network's precision; -1: adds ghosts'
// rows to the owned atoms'. positions n_atoms x 3. energies n_owned; forces n_atoms x 3 are added,
// in units of 1/unit eV/Å, those of ghosts belong to their owners. closest 3, or null.
typedef void (*DistillExchange)(void *context, int direction, void *first, void *second,
                                int64_t width);
DISTILL_API int distill_rank_evaluate(int64_t list, const double *meta, int64_t meta_length,
                                      int precision, const void *packed, const double *positions,
                                      DistillExchange exchange, void *context, double unit,
                                      double *energies, double *forces, double *closest);

// distill_evaluate for MD: the neighbour list `list` (any number that is the caller's own; distill_new_list
// gives one) finds the pairs and is kept from call to call. box: 3 x 3, rows as vectors, or null;
// periodic: 3 flags.
DISTILL_API int64_t distill_new_list();
DISTILL_API void distill_free_list(int64_t list);
DISTILL_API int64_t distill_list_rebuilds(int64_t list);
DISTILL_API int distill_evaluate_md(const double *meta, int64_t meta_length, int precision,
                                    const void *packed, int64_t n_atoms, const int64_t *numbers,
                                    const double *positions, const double *box,
                                    const uint8_t *periodic, int64_t list, double skin,
                                    int threads, double *energies, double *forces, double *virial,
                                    double *closest, const void *latent, double *distances);

// Pairs of a list as edges in both directions; sizes first with null arrays. For tests.
DISTILL_API int64_t distill_neighbours(int64_t n_atoms, const double *positions, const double *box,
                                       const uint8_t *periodic, double cutoff, int threads,
                                       int64_t *centre, int64_t *neighbour, double *shift);

// Many molecules side by side, for training. Atoms of molecule m: first_atom[m]..first_atom[m + 1];
// its pairs, each listed in one direction, with indices into all atoms: first_pair[m].. likewise.
struct DistillBatch {
  int64_t n_molecules;
  const int64_t *first_atom, *numbers;
  const double *positions;
  const int64_t *first_pair;
  const int32_t *centre, *neighbour;
  const double *shift;  // or null
};

// energies M (with the isolated atoms'), forces N x 3. Molecules are shared out to threads.
DISTILL_API int distill_batch(const double *meta, int64_t meta_length, int precision,
                              const void *packed, const DistillBatch *batch, int threads,
                              double *energies, double *forces);

// Gradient by the parameters (flat, as for distill_pack) of
//   sum_m plus[m] E_m(x + eps[m] v) + minus[m] E_m(x - eps[m] v);  directions v: N x 3.
DISTILL_API int distill_gradients(const double *meta, int64_t meta_length, int precision,
                                  const void *packed, const DistillBatch *batch,
                                  const double *directions, const double *eps, const double *plus,
                                  const double *minus, int threads, void *gradients);
