#include "pair_distill.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "api.h"
#include "atom.h"
#include "comm.h"
#include "error.h"
#include "force.h"
#include "lammps.h"
#include "memory.h"
#include "modify.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "student_file.h"
#include "update.h"

using namespace LAMMPS_NS;

namespace {
constexpr double CLOSEST = 0.3;       // Å; nearer atoms are a mistake in the input
constexpr double OVERLAP = 1e8;       // eV, of a trial geometry with nearer ones: never accepted
constexpr double KCAL_PER_EV = 23.060549;
constexpr int UNKNOWN = -1;           // number of an element that the student does not know
constexpr size_t LARGEST = 1 << 30;   // bytes of a file
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
  int precision = 32;
  for (int k = 0; k < narg; ++k) {
    if (!std::strcmp(arg[k], "single"))
      precision = 32;
    else if (!std::strcmp(arg[k], "double"))
      precision = 64;
    else
      error->all(FLERR, "pair_style distill takes 'single' (the default) or 'double', not '{}'", arg[k]);
  }
  precision_ = precision;  // not before: from Python one may go on after an error
  // the same pair_style once more keeps what pair_coeff has read
  if (!file_.elements.empty()) pack();
}

// pair_coeff * * FILE element of type 1, of type 2, ...; NULL: not the student's
void PairDistill::coeff(int narg, char **arg) {
  const int n = atom->ntypes;
  if (narg != 3 + n)
    error->all(FLERR, "Write 'pair_coeff * * FILE' and an element for each of the {} atom types", n);
  for (int type = 1; type <= n && force->pair == this; ++type)
    if (!std::strcmp(arg[2 + type], "NULL"))
      error->all(FLERR, "The student needs an element for type {}; NULL is for pair_style hybrid, "
                 "where another style has the type", type);
  if (!allocated) {
    allocated = 1;
    memory->create(setflag, n + 1, n + 1, "pair:setflag");
    memory->create(cutsq, n + 1, n + 1, "pair:cutsq");
  }
  read(arg[2]);
  number_of_.assign(n + 1, 0);
  for (int type = 1; type <= n; ++type) {
    const std::string name = arg[2 + type];
    if (name == "NULL") continue;
    number_of_[type] = UNKNOWN;  // which matters when there is such an atom
    for (size_t k = 0; k < file_.elements.size(); ++k)
      if (file_.elements[k] == name) number_of_[type] = int(meta_[7 + 4 * k]);
  }
  names_.assign(arg + 2, arg + narg);
  for (int i = 1; i <= n; ++i)
    for (int j = i; j <= n; ++j) setflag[i][j] = number_of_[i] && number_of_[j];
}

// The bytes of a file, which one rank reads for all.
std::string PairDistill::bytes_of(const std::string &name) {
  std::string bytes;
  int64_t size = -1;
  if (comm->me == 0) {
    std::ifstream file(name, std::ios::binary);
    if (file) {
      std::vector<char> part(1 << 20);
      do {
        file.read(part.data(), std::streamsize(part.size()));
        bytes.append(part.data(), size_t(file.gcount()));
      } while (file && bytes.size() <= LARGEST);
      if (bytes.size() > LARGEST) bytes.clear();  // no student is as large
      size = int64_t(bytes.size());
    }
  }
  if (comm->nprocs > 1) {
    MPI_Bcast(&size, 1, MPI_INT64_T, 0, world);
    if (size > 0) {
      bytes.resize(size_t(size));
      MPI_Bcast(&bytes[0], int(size), MPI_CHAR, 0, world);
    }
  }
  if (size < 0) error->all(FLERR, "There is no file {}: distill export NAME --format lammps -o {}", name, name);
  return bytes;
}

void PairDistill::read(const std::string &name) {
  try {
    file_ = distill_lammps::read_student(name, bytes_of(name));
  } catch (const std::runtime_error &wrong) {
    error->all(FLERR, wrong.what());
  }
  name_ = name;
  pack();
}

// The student as libdistill wants it, in the precision of pair_style
void PairDistill::pack() {
  meta_ = file_.meta[precision_ == 64];
  int64_t wanted[2] = {0, 0};  // parameters, packed numbers
  const int64_t length = int64_t(meta_.size());
  if (distill_sizes(meta_.data(), length, &wanted[0], &wanted[1])) error->all(FLERR, distill_error());
  if (wanted[0] != int64_t(file_.parameters.size()))
    error->all(FLERR, "{} does not fit this version of the kernel: write it again", name_);
  const size_t bytes = precision_ / 8;
  memory_.assign(wanted[1] * bytes / 8 + 16, 0.0);
  const uintptr_t start = (reinterpret_cast<uintptr_t>(memory_.data()) + 63) / 64 * 64;
  packed_ = reinterpret_cast<void *>(start);
  const std::vector<float> single(file_.parameters.begin(), file_.parameters.end());
  const void *flat = precision_ == 64 ? static_cast<const void *>(file_.parameters.data()) : single.data();
  if (distill_pack(meta_.data(), length, precision_, flat, packed_)) error->all(FLERR, distill_error());
  cutoff_ = meta_[5];
  comm_forward = comm_reverse = int(2 * 3 * int64_t(meta_[0]) * bytes / 8);
  types_.clear();  // the pairs are another student's
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
  // LAMMPS sizes its buffers after this, by its one pair style. A hybrid style took our sizes when
  // pair_style was read, before there was a student.
  force->pair->comm_forward = std::max(force->pair->comm_forward, comm_forward);
  force->pair->comm_reverse = std::max(force->pair->comm_reverse, comm_reverse);
  asked_.assign(number_of_.size() * number_of_.size(), 0);
  trouble_.clear();
  // each pair of own atoms is listed once, and a pair with a ghost on both ranks
  neighbor->add_request(this, NeighConst::REQ_NEWTON_OFF);
}

double PairDistill::init_one(int i, int j) {
  asked_[i * number_of_.size() + j] = asked_[j * number_of_.size() + i] = 1;
  return cutoff_;
}

void PairDistill::setup() {
  const int n = int(number_of_.size());
  for (int i = 1; i < n; ++i)
    for (int j = i; j < n; ++j)
      if (number_of_[i] && number_of_[j] && !asked_[i * n + j])
        error->all(FLERR, "The student has types {} and {}, but another style has their pairs: give it all "
                   "pairs of its types, or write hybrid/overlay", i, j);
  int strange = 0;
  for (int i = 0; i < atom->nlocal; ++i)
    if (number_of_[atom->type[i]] == UNKNOWN) strange = std::max(strange, atom->type[i]);
  if (comm->nprocs > 1) MPI_Allreduce(MPI_IN_PLACE, &strange, 1, MPI_INT, MPI_MAX, world);
  if (strange) error->all(FLERR, not_known(strange));
  if (neighbor->exclude) check_exclusions();
}

std::string PairDistill::not_known(int type) const {
  std::string known;
  for (const std::string &e : file_.elements) known += " " + e;
  return fmt::format("The student does not know {}; it knows{}", names_[type], known);
}

bool PairDistill::anywhere(bool here) {
  int mine = here, all = mine;
  if (comm->nprocs > 1) MPI_Allreduce(&mine, &all, 1, MPI_INT, MPI_MAX, world);
  return all != 0;
}

// The words of the first rank that has any, on all ranks: when one rank alone ends a run, mpiexec may
// kill them all before it has passed on what that rank said.
std::string PairDistill::from_first(bool here, const std::string &words) {
  if (comm->nprocs == 1) return words;
  int mine = here ? comm->me : comm->nprocs, first = mine, size = int(words.size());
  MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, world);
  MPI_Bcast(&size, 1, MPI_INT, first, world);
  std::string all = words;
  all.resize(size);
  MPI_Bcast(&all[0], size, MPI_CHAR, first, world);
  return all;
}

// The student needs all neighbours of an atom, so hiding some of them is refused. To take atoms out
// altogether, as Monte Carlo does, or to separate parts of the system, is well defined.
void PairDistill::check_exclusions() {
  bool within = false, between = false;
  const int n = atom->nlocal;
  auto members = [&](int bit) {
    bool found = false;
    for (int i = 0; i < n; ++i) found |= (atom->mask[i] & bit) && number_of_[atom->type[i]] && !removed(i);
    return anywhere(found);
  };
  for (int k = 0; k < neighbor->nex_group; ++k) {
    const int a = neighbor->ex1_group[k], b = neighbor->ex2_group[k];
    if (a == 0 || b == 0) continue;
    if (a == b)
      within |= members(neighbor->ex1_bit[k]);
    else
      between |= members(neighbor->ex1_bit[k]) && members(neighbor->ex2_bit[k]);
  }
  for (int k = 0; k < neighbor->nex_mol; ++k)
    if (neighbor->ex_mol_intra[k]) within |= members(neighbor->ex_mol_bit[k]);
  for (int k = 0; k < neighbor->nex_type; ++k) {
    const int a = neighbor->ex1_type[k], b = neighbor->ex2_type[k];
    bool here = false, there = false;
    for (int i = 0; i < n; ++i)
      if (number_of_[atom->type[i]] && !removed(i)) here |= atom->type[i] == a, there |= atom->type[i] == b;
    here = anywhere(here), there = anywhere(there);
    (a == b ? within : between) |= here && there;
  }
  if (within)
    error->all(FLERR, "'neigh_modify exclude' hides neighbors from the student, which needs them all: take "
               "it out of the input; to hold atoms, 'fix setforce' or leaving them out of 'fix nve' does");
  if (between && comm->me == 0)
    error->warning(FLERR, "'neigh_modify exclude': to the student, atoms that are excluded from each other are not "
                   "there; their energies are right only where no third atom is near both");
}

// Whether an atom is excluded from all others. The student does not see such an atom, as a trial
// deletion of fix gcmc requires.
bool PairDistill::removed(int i) const {
  if (!neighbor->exclude) return false;
  for (int k = 0; k < neighbor->nex_group; ++k) {
    const bool first = atom->mask[i] & neighbor->ex1_bit[k], second = atom->mask[i] & neighbor->ex2_bit[k];
    if ((first && neighbor->ex2_group[k] == 0) || (second && neighbor->ex1_group[k] == 0)) return true;
  }
  if (!neighbor->nex_type) return false;
  for (int type = 1; type <= atom->ntypes; ++type)
    if (!neighbor->ex_type[atom->type[i]][type]) return false;
  return true;
}

// fix atom/swap changes types and keeps the list
bool PairDistill::pairs_are_old() const {
  const size_t all = size_t(atom->nlocal + atom->nghost);
  return neighbor->ago == 0 || int64_t(neighbor->ncalls) != builds_ || types_.size() != all ||
         !std::equal(types_.begin(), types_.end(), atom->type);
}

void PairDistill::new_pairs() {
  const int n = atom->nlocal, all = n + atom->nghost;
  builds_ = int64_t(neighbor->ncalls);
  types_.assign(atom->type, atom->type + all);
  int any = 0, ours = 0;
  for (int type : types_)
    if (number_of_[type] == UNKNOWN) error->one(FLERR, not_known(type));
  for (int number : number_of_) any = std::max(any, number);
  numbers_.resize(all);
  // atoms of other styles have no pairs, and no energies: see counts_
  for (int i = 0; i < all; ++i) numbers_[i] = number_of_[types_[i]] ? number_of_[types_[i]] : any;
  energies_.resize(n);
  counts_.resize(n);
  for (int i = 0; i < n; ++i) {
    ours += number_of_[types_[i]] != 0;
    counts_[i] = number_of_[types_[i]] && !removed(i);
  }
  if (list->inum != ours)
    error->one(FLERR, "The student must act on all atoms of its types: take 'neigh_modify include' out of the input");
  lengths_.assign(n, 0);
  starts_.assign(n, nullptr);
  for (int k = 0; k < list->inum; ++k) {
    const int i = list->ilist[k];
    lengths_[i] = list->numneigh[i];
    starts_[i] = list->firstneigh[i];
  }
  if (distill_rank_pairs(list_, meta_.data(), int64_t(meta_.size()), all, n, numbers_.data(), lengths_.data(),
                         starts_.data(), NEIGHMASK))
    error->one(FLERR, distill_error());
}

void PairDistill::compute(int eflag, int vflag) {
  ev_init(eflag, vflag);
  if (vflag_atom || cvflag_atom)
    error->all(FLERR, "pair_style distill has no virials of atoms; pair_style mliap unified has");
  if (!trouble_.empty() && int64_t(update->ntimestep) != trouble_step_) finish();
  trouble_.clear();
  if (pairs_are_old()) new_pairs();
  const int n = atom->nlocal, all = n + atom->nghost;
  forces_.assign(3 * size_t(all), 0.0);
  double closest[3] = {1e300, 0, 0};
  if (distill_rank_evaluate(list_, meta_.data(), int64_t(meta_.size()), precision_, packed_,
                            all ? atom->x[0] : nullptr, exchange, this, unit_, energies_.data(),
                            forces_.data(), closest))
    error->one(FLERR, distill_error());
  for (int i = 0; i < n; ++i)
    if (!counts_[i]) energies_[i] = 0;
  judge(closest);
  for (int i = 0; i < all; ++i)
    for (int d = 0; d < 3; ++d) atom->f[i][d] += forces_[3 * i + d];
  if (eflag_global)
    for (double energy : energies_) eng_vdwl += energy;
  if (eflag_atom)
    for (int i = 0; i < n; ++i) eatom[i] += energies_[i];
  if (vflag_fdotr) virial_fdotr_compute();
  // beside a style whose virial LAMMPS cannot take from the sum of all forces, ours is added here
  if (vflag_global && !vflag_fdotr)
    for (int i = 0; i < all; ++i) {
      const double *x = atom->x[i], *f = &forces_[3 * i];
      for (int d = 0; d < 3; ++d) virial[d] += x[d] * f[d];
      virial[3] += x[0] * f[1];
      virial[4] += x[0] * f[2];
      virial[5] += x[1] * f[2];
    }
}

// ---- geometries without a meaning ---------------------------------------------------------------

// Whether the geometry may be one that is tried, and not kept: by a minimizer, or by a fix that acts
// before the forces of a step are computed, as all of Monte Carlo do (gcmc, widom, atom/swap, ...).
bool PairDistill::trial() const { return update->whichflag == 2 || modify->n_pre_exchange > 0; }

// Ends the run where the geometry has no meaning. One that may only be tried gets an energy that no
// one accepts; the last geometry of a step is kept, and the next step then ends the run.
void PairDistill::judge(const double *closest) {
  double total = 0, slope = 0;
  for (double energy : energies_) total += energy;
  for (double f : forces_) slope += std::fabs(f);
  const bool finite = std::isfinite(total) && std::isfinite(slope), near = closest[0] < CLOSEST;
  const bool here = !finite || near;
  std::string sentence;
  if (near)
    sentence = fmt::format("Atoms {} and {} are {:.2f} A apart: mend the geometry, or take a shorter timestep",
                           atom->tag[int(closest[1])], atom->tag[int(closest[2])], closest[0]);
  else if (!finite)
    sentence = "The student's energy is not a finite number: mend the geometry, or take a shorter timestep";
  if (!anywhere(here)) return;
  trouble_ = from_first(here, sentence);
  trouble_step_ = int64_t(update->ntimestep);
  if (!trial()) finish();
  if (!here) return;
  if (!finite) std::fill(forces_.begin(), forces_.end(), 0.0);
  std::fill(energies_.begin(), energies_.end(), 0.0);
  // one atom of a pair is always our own
  const int first = int(closest[1]), second = int(closest[2]), n = int(energies_.size());
  if (n) energies_[near ? (first < n ? first : second) : 0] = OVERLAP * unit_;
}

// Also at the end of a run
void PairDistill::finish() {
  if (trouble_.empty()) return;
  std::string sentence;
  sentence.swap(trouble_);
  error->all(FLERR, sentence);
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
  return Pair::memory_usage() + 8.0 * (memory_.size() + file_.parameters.size()) +
         8.0 * (energies_.size() + forces_.size() + starts_.size()) +
         4.0 * (types_.size() + numbers_.size() + lengths_.size());
}
