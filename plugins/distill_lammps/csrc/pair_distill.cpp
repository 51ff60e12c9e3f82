#include "pair_distill.h"

#include <cmath>
#include <cstring>
#include <fstream>
#include <sstream>

#include "api.h"
#include "atom.h"
#include "comm.h"
#include "error.h"
#include "force.h"
#include "lammps.h"
#include "memory.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "update.h"

using namespace LAMMPS_NS;

namespace {
constexpr double CLOSEST = 0.3;       // Å; nearer atoms are a mistake in the input
constexpr double KCAL_PER_EV = 23.060549;
const char MAGIC[] = "mlff-distiller lammps 1";
}  // namespace

PairDistill::PairDistill(LAMMPS *lmp) : Pair(lmp), list_(distill_new_list()) {
  single_enable = 0;
  restartinfo = 0;
  one_coeff = 1;
  manybody_flag = 1;
  centroidstressflag = CENTROID_NOTAVAIL;
}

PairDistill::~PairDistill() {
  if (copymode) return;
  distill_free_list(list_);
  if (allocated) {
    memory->destroy(setflag);
    memory->destroy(cutsq);
  }
}

void PairDistill::settings(int narg, char **arg) {
  precision_ = 32;
  for (int k = 0; k < narg; ++k) {
    if (!std::strcmp(arg[k], "single"))
      precision_ = 32;
    else if (!std::strcmp(arg[k], "double"))
      precision_ = 64;
    else
      error->all(FLERR, "pair_style distill takes 'single' (the default) or 'double', not '{}'", arg[k]);
  }
}

// pair_coeff * * FILE element of type 1, of type 2, ...
void PairDistill::coeff(int narg, char **arg) {
  const int n = atom->ntypes;
  if (narg != 3 + n)
    error->all(FLERR, "Write 'pair_coeff * * FILE' and an element for each of the {} atom types", n);
  if (!allocated) {
    allocated = 1;
    memory->create(setflag, n + 1, n + 1, "pair:setflag");
    memory->create(cutsq, n + 1, n + 1, "pair:cutsq");
  }
  read(arg[2]);
  number_of_.assign(n + 1, 0);
  for (int type = 1; type <= n; ++type) {
    const std::string name = arg[2 + type];
    for (size_t k = 0; k < elements_.size(); ++k)
      if (elements_[k] == name) number_of_[type] = int(meta_[6 + 4 * k]);
    if (number_of_[type] == 0) {
      std::string known;
      for (const std::string &e : elements_) known += " " + e;
      error->all(FLERR, "The student does not know {}; it knows{}", name, known);
    }
  }
  for (int i = 1; i <= n; ++i)
    for (int j = i; j <= n; ++j) setflag[i][j] = 1;
}

void PairDistill::read(const std::string &name) {
  std::ifstream file(name, std::ios::binary);
  if (!file) error->all(FLERR, "There is no file {}: distill export NAME --format lammps -o {}", name, name);
  std::string line;
  std::getline(file, line);
  if (line != MAGIC)
    error->all(FLERR, "{} is not of this version's format: write it again, distill export NAME --format lammps", name);
  std::getline(file, line);
  elements_.clear();
  std::istringstream words(line);
  for (std::string word; words >> word;) elements_.push_back(word);
  int64_t sizes[3] = {0, 0, 0}, wanted[2] = {0, 0};  // meta (single), meta (double), parameters
  file.read(reinterpret_cast<char *>(sizes), sizeof sizes);
  const bool sane = file && sizes[0] > 0 && sizes[0] == sizes[1] && sizes[0] < 10000 &&
                    sizes[2] > 0 && sizes[2] < 100000000;
  std::vector<double> parameters(sane ? sizes[2] : 0);
  if (sane) {
    for (int k = 0; k < 2; ++k) {
      std::vector<double> meta(sizes[k]);
      file.read(reinterpret_cast<char *>(meta.data()), 8 * sizes[k]);
      if ((k == 1) == (precision_ == 64)) meta_ = meta;
    }
    file.read(reinterpret_cast<char *>(parameters.data()), 8 * sizes[2]);
  }
  if (!sane || !file) error->all(FLERR, "{} is cut off: write it again, distill export NAME --format lammps", name);
  const int64_t length = int64_t(meta_.size());
  if (distill_sizes(meta_.data(), length, &wanted[0], &wanted[1])) error->all(FLERR, distill_error());
  if (wanted[0] != sizes[2]) error->all(FLERR, "{} does not fit this version of the kernel: write it again", name);
  const size_t bytes = precision_ / 8;
  memory_.assign(wanted[1] * bytes / 8 + 16, 0.0);
  const uintptr_t start = (reinterpret_cast<uintptr_t>(memory_.data()) + 63) / 64 * 64;
  packed_ = reinterpret_cast<void *>(start);
  std::vector<float> single(parameters.begin(), parameters.end());
  const void *flat = precision_ == 64 ? static_cast<const void *>(parameters.data()) : single.data();
  if (distill_pack(meta_.data(), length, precision_, flat, packed_)) error->all(FLERR, distill_error());
  cutoff_ = meta_[5];
  comm_forward = comm_reverse = int(2 * 3 * int64_t(meta_[0]) * bytes / 8);
}

void PairDistill::init_style() {
  if (force->newton_pair == 0) error->all(FLERR, "pair_style distill needs 'newton on'");
  if (!std::strcmp(update->unit_style, "metal"))
    unit_ = 1;
  else if (!std::strcmp(update->unit_style, "real"))
    unit_ = KCAL_PER_EV;
  else
    error->all(FLERR, "pair_style distill needs 'units metal' or 'units real', not '{}'", update->unit_style);
  for (int k = 1; k <= 3; ++k)
    if (atom->nbonds > 0 && force->special_lj[k] == 0 && force->special_coul[k] == 0)
      error->all(FLERR, "LAMMPS would hide bonded neighbors from the student: write 'special_bonds lj/coul 1 1 1'");
  // pairs of own atoms once, those with ghosts on both ranks
  neighbor->add_request(this, NeighConst::REQ_NEWTON_OFF);
}

double PairDistill::init_one(int, int) { return cutoff_; }

void PairDistill::new_pairs() {
  const int n = atom->nlocal, all = n + atom->nghost;
  if (list->inum != n) error->one(FLERR, "pair_style distill must act on all atoms, not in pair_style hybrid");
  numbers_.resize(all);
  for (int i = 0; i < all; ++i) numbers_[i] = number_of_[atom->type[i]];
  energies_.resize(n);
  if (distill_rank_pairs(list_, meta_.data(), int64_t(meta_.size()), all, n, numbers_.data(),
                         list->numneigh, list->firstneigh, NEIGHMASK))
    error->one(FLERR, distill_error());
}

void PairDistill::compute(int eflag, int vflag) {
  ev_init(eflag, vflag);
  if (vflag_atom || (vflag_global && !vflag_fdotr))
    error->all(FLERR, "pair_style distill has no virials of atoms; pair_style mliap unified has");
  if (neighbor->ago == 0 || int64_t(numbers_.size()) != atom->nlocal + atom->nghost) new_pairs();
  const bool any = !numbers_.empty();
  double closest[3] = {1e300, 0, 0};
  if (distill_rank_evaluate(list_, meta_.data(), int64_t(meta_.size()), precision_, packed_,
                            any ? atom->x[0] : nullptr, exchange, this, unit_, energies_.data(),
                            any ? atom->f[0] : nullptr, closest))
    error->one(FLERR, distill_error());
  if (closest[0] < CLOSEST)
    error->one(FLERR, "Atoms {} and {} are {:.2f} A apart: mend the geometry, or take a shorter timestep",
               atom->tag[int(closest[1])], atom->tag[int(closest[2])], closest[0]);
  if (eflag_global)
    for (double energy : energies_) eng_vdwl += energy;
  if (eflag_atom)
    for (size_t i = 0; i < energies_.size(); ++i) eatom[i] += energies_[i];
  if (vflag_fdotr) virial_fdotr_compute();
}

// ---- between ranks ------------------------------------------------------------------------------

void PairDistill::exchange(void *pointer, int direction, void *first, void *second, int64_t width) {
  PairDistill *self = static_cast<PairDistill *>(pointer);
  self->rows_[0] = static_cast<char *>(first);
  self->rows_[1] = static_cast<char *>(second);
  self->width_ = width;
  if (direction > 0)
    self->comm->forward_comm(self);
  else
    self->comm->reverse_comm(self);
}

int PairDistill::pack_forward_comm(int n, int *list, double *buffer, int, int *) {
  const size_t bytes = width_ * (precision_ / 8);
  char *at = reinterpret_cast<char *>(buffer);
  for (int k = 0; k < n; ++k)
    for (char *rows : rows_) {
      std::memcpy(at, rows + list[k] * bytes, bytes);
      at += bytes;
    }
  return int(2 * bytes / 8) * n;
}

void PairDistill::unpack_forward_comm(int n, int first, double *buffer) {
  const size_t bytes = width_ * (precision_ / 8);
  const char *at = reinterpret_cast<const char *>(buffer);
  for (int k = first; k < first + n; ++k)
    for (char *rows : rows_) {
      std::memcpy(rows + k * bytes, at, bytes);
      at += bytes;
    }
}

int PairDistill::pack_reverse_comm(int n, int first, double *buffer) {
  const size_t bytes = width_ * (precision_ / 8);
  char *at = reinterpret_cast<char *>(buffer);
  for (int k = first; k < first + n; ++k)
    for (char *rows : rows_) {
      std::memcpy(at, rows + k * bytes, bytes);
      at += bytes;
    }
  return int(2 * bytes / 8) * n;
}

template <class T>
void PairDistill::add(T *to, const T *from) {
  for (int64_t c = 0; c < width_; ++c) to[c] += from[c];
}

void PairDistill::unpack_reverse_comm(int n, int *list, double *buffer) {
  const size_t bytes = width_ * (precision_ / 8);
  const char *at = reinterpret_cast<const char *>(buffer);
  for (int k = 0; k < n; ++k)
    for (char *rows : rows_) {
      char *to = rows + list[k] * bytes;
      if (precision_ == 64)
        add(reinterpret_cast<double *>(to), reinterpret_cast<const double *>(at));
      else
        add(reinterpret_cast<float *>(to), reinterpret_cast<const float *>(at));
      at += bytes;
    }
}

double PairDistill::memory_usage() {
  return Pair::memory_usage() + 8.0 * (memory_.size() + energies_.size()) + 4.0 * numbers_.size();
}
