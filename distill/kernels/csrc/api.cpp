#include "api.h"

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "evaluate.h"

// DISTILL_BASELINE_ONLY: a build with sanitizers, which takes long enough as it is
#if defined(__x86_64__) && !defined(DISTILL_BASELINE_ONLY)
#define DISTILL_X86 1
#else
#define DISTILL_X86 0
#endif

namespace distill {

#define DISTILL_DECLARE(name)            \
  namespace name {                       \
  Engine<float> engine_float(int hidden); \
  Engine<double> engine_double(int hidden); \
  }
DISTILL_DECLARE(baseline)
#if DISTILL_X86
DISTILL_DECLARE(avx2)
DISTILL_DECLARE(avx512)
#endif

namespace {

thread_local std::string last_error;

int best_isa() {
#if DISTILL_X86
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw"))
    return 2;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 1;
#endif
  return 0;
}

const char *const ISA_NAMES[] = {"baseline", "avx2", "avx512"};
int isa = best_isa();

template <class T>
Engine<T> engine_of(int hidden);
template <>
Engine<float> engine_of<float>(int hidden) {
#if DISTILL_X86
  if (isa == 2) return avx512::engine_float(hidden);
  if (isa == 1) return avx2::engine_float(hidden);
#endif
  return baseline::engine_float(hidden);
}
template <>
Engine<double> engine_of<double>(int hidden) {
#if DISTILL_X86
  if (isa == 2) return avx512::engine_double(hidden);
  if (isa == 1) return avx2::engine_double(hidden);
#endif
  return baseline::engine_double(hidden);
}

int guarded(const std::function<void()> &work) {
  try {
    work();
    return 0;
  } catch (const std::exception &error) {
    last_error = error.what();
    return -1;
  }
}

// work(zero), where zero has the type of the precision
template <class Work>
void with_precision(int precision, const Work &work) {
  if (precision == 32)
    work(0.0f);
  else if (precision == 64)
    work(0.0);
  else
    throw std::runtime_error("The precision must be 32 or 64.");
}

// The splines depend on three numbers, which seldom change.
template <class T>
const std::vector<T> &basis_of(const Student &st) {
  static thread_local std::vector<T> basis;
  static thread_local double key[3] = {0, 0, 0};
  const double wanted[3] = {double(st.n_radial), st.cutoff, double(st.shape.intervals)};
  if (std::memcmp(key, wanted, sizeof key)) {
    basis = basis_splines<T>(st);
    std::memcpy(key, wanted, sizeof key);
  }
  return basis;
}

template <class Integer>
std::vector<int32_t> species(const Student &st, int64_t n, const Integer *numbers) {
  std::vector<int32_t> found(n);
  for (int64_t i = 0; i < n; ++i) {
    const int z = numbers[i] >= 0 && numbers[i] < 256 ? st.species_of[numbers[i]] : -1;
    if (z < 0)
      throw std::runtime_error("The student does not know the element with atomic number " +
                               std::to_string(numbers[i]) +
                               "; train one on data that has the element.");
    found[i] = z;
  }
  return found;
}

int usable_threads(int threads, int64_t n_atoms) {
  // below this many atoms a thread, waiting for each other costs more than is gained
  return int(std::max<int64_t>(1, std::min<int64_t>(threads, n_atoms / 64)));
}

template <class T>
void run(const Student &st, const void *packed, int n, const int32_t *kinds, const double *x,
         const Candidates &candidates, const double *cotangent, int threads,
         const int32_t *order, const int *within, double *energies, double *forces, double *virial,
         double *closest, const void *latent, double *distances) {
  const size_t rows = n ? candidates.rows() : 0;
  std::vector<double> e(rows), f(3 * rows), d(distances ? n : 0);
  Results out{e.data(), f.data(), virial, distances ? d.data() : nullptr, 0, 0, 0};
  Problem<T> p{};
  p.student = &st;
  place(st.shape, static_cast<T *>(const_cast<void *>(packed)), p.weights);
  p.n_atoms = n;
  p.species = kinds;
  p.positions = x;
  p.candidates = &candidates;
  p.cotangent = cotangent;
  p.threads = threads;
  p.within = within;
  if (latent) {
    p.latent.mean = static_cast<const T *>(latent);
    p.latent.whitening = p.latent.mean + size_t(st.shape.n_elements) * st.shape.hidden;
  }
  if (n > 0) evaluate(p, engine_of<T>(st.shape.hidden), out);
  for (int k = 0; k < n; ++k) {
    const int64_t to = order ? order[k] : k;
    if (distances) distances[to] = d[k];
    if (energies) energies[to] = e[k] + st.elements[kinds[k]].reference;
    if (forces)
      for (int d = 0; d < 3; ++d) forces[3 * to + d] = f[3 * size_t(k) + d];
  }
  if (closest) {
    closest[0] = n ? out.closest : 1e300;
    closest[1] = order && out.closest < 1e299 ? order[out.closest_i] : out.closest_i;
    closest[2] = order && out.closest < 1e299 ? order[out.closest_j] : out.closest_j;
  }
}

// Of edges in both directions, one of each.
void one_direction(int64_t n, int64_t n_edges, const int64_t *centre, const int64_t *neighbour,
                   const double *shift, const Ranges &ranges, Candidates &out) {
  std::vector<int32_t> i, j;
  std::vector<double> s;
  i.reserve(n_edges / 2);
  j.reserve(n_edges / 2);
  for (int64_t e = 0; e < n_edges; ++e) {
    const int64_t a = centre[e], b = neighbour[e];
    if (a < 0 || b < 0 || a >= n || b >= n)
      throw std::runtime_error("An edge names an atom that is not there; edge_index must be below N.");
    if (a > b) continue;
    if (a == b) {
      if (!shift) continue;
      const double *t = shift + 3 * e;
      if (t[0] < 0 || (t[0] == 0 && (t[1] < 0 || (t[1] == 0 && t[2] <= 0)))) continue;
    }
    i.push_back(int32_t(a));
    j.push_back(int32_t(b));
    if (shift) s.insert(s.end(), shift + 3 * e, shift + 3 * e + 3);
  }
  out.set(ranges, int64_t(i.size()), i.data(), j.data(), shift ? s.data() : nullptr);
}

// Copies of atoms whose images lie in up to three independent directions.
class Images {
 public:
  int32_t copy[3], original[3];
  int count = 0;

  void set(const double *positions) {
    positions_ = positions;
    count = 0;
  }
  void add(int32_t image, int32_t atom) {
    if (!positions_ || image == atom || count == 3) return;
    double v[3];
    for (int d = 0; d < 3; ++d) v[d] = positions_[3L * image + d] - positions_[3L * atom + d];
    for (int k = 0; k < count; ++k) {  // what is left of it across the directions so far
      double along = 0;
      for (int d = 0; d < 3; ++d) along += v[d] * unit_[k][d];
      for (int d = 0; d < 3; ++d) v[d] -= along * unit_[k][d];
    }
    const double length = std::sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
    if (length < 0.1) return;
    for (int d = 0; d < 3; ++d) unit_[count][d] = v[d] / length;
    copy[count] = image;
    original[count++] = atom;
  }

 private:
  const double *positions_ = nullptr;
  double unit_[3][3];
};

// Which copy of an atom stands for all of them: by identity, or each for itself.
class Copies {
 public:
  void set(int64_t n_atoms, const int32_t *ids) {
    ids_ = ids;
    many_.clear();
    const int32_t most = ids && n_atoms ? *std::max_element(ids, ids + n_atoms) : int32_t(n_atoms);
    dense_ = !ids || (most >= 0 && most < 16 * n_atoms + 1024);
    few_.assign(dense_ ? int64_t(most) + 1 : 0, -1);
  }
  int32_t &of(int32_t atom) {
    const int32_t id = ids_ ? ids_[atom] : atom;
    if (!dense_) return many_.emplace(id, -1).first->second;
    if (id < 0) throw std::runtime_error("An atom's identity is negative.");
    return few_[id];
  }

 private:
  const int32_t *ids_ = nullptr;
  bool dense_ = true;
  std::vector<int32_t> few_;
  std::unordered_map<int32_t, int32_t> many_;
};

// Part of a system, in the order that `Problem::within` asks for.
struct Part {
  std::vector<int32_t> order;  // the user's index of each atom that the owned ones depend on
  std::vector<int> within;
  Candidates candidates;
  std::vector<int32_t> kinds;
  std::vector<double> origin;  // vectors are given: all positions are zero
  std::vector<double> cotangent;
  Images images;

  void set(const Student &st, int64_t n_atoms, int64_t n_owned, const int32_t *numbers,
           int64_t n_pairs, const int32_t *centre, const int32_t *neighbour, const double *vectors,
           const int32_t *ids, const double *positions) {
    row_.assign(n_atoms, {0, 0});
    place_.set(n_atoms, ids);
    images.set(ids ? positions : nullptr);
    for (int64_t p = 0; p < n_pairs; ++p) {
      const int32_t i = centre[p], j = neighbour[p];
      if (i < 0 || j < 0 || i >= n_atoms || j >= n_atoms)
        throw std::runtime_error("A pair names an atom that is not there.");
      if (p > 0 && centre[p - 1] == i) {
        ++row_[i].second;
        continue;
      }
      if (row_[i].second != 0)
        throw std::runtime_error("The pairs of one atom do not follow each other.");
      row_[i] = {p, p + 1};
    }
    order.resize(n_owned);
    for (int64_t i = 0; i < n_owned; ++i) {
      int32_t &place = place_.of(int32_t(i));
      if (place >= 0) throw std::runtime_error("Two owned atoms have the same identity.");
      order[i] = place = int32_t(i);
    }
    within.assign(1, int(n_owned));
    for (int h = 0, from = 0; h < st.shape.layers; ++h) {
      for (const int end = within[h]; from < end; ++from)
        for (int64_t p = row_[order[from]].first; p < row_[order[from]].second; ++p) {
          int32_t &place = place_.of(neighbour[p]);
          if (place < 0) {
            place = int32_t(order.size());
            order.push_back(neighbour[p]);
          }
        }
      within.push_back(int(order.size()));
    }
    const int n = int(order.size());
    Candidates &c = candidates;
    c.first.assign(1, 0);
    c.j.clear();
    c.shift.clear();
    for (int k = 0; k < n; ++k) {
      if (k < within[st.shape.layers - 1])
        for (int64_t p = row_[order[k]].first; p < row_[order[k]].second; ++p) {
          const int32_t at = place_.of(neighbour[p]);
          const double *v = vectors + 3 * p;
          if (at < k) continue;  // stands in the other one's row
          // of an atom and its own images, one of two opposite ones
          if (at == k && (v[0] < 0 || (v[0] == 0 && (v[1] < 0 || (v[1] == 0 && v[2] <= 0)))))
            continue;
          c.j.push_back(at);
          c.shift.insert(c.shift.end(), v, v + 3);
          images.add(neighbour[p], order[at]);
        }
      c.first.push_back(int32_t(c.j.size()));
    }
    c.to = c.j;
    c.halo_of.assign(2, 0);
    c.owed_to.assign(2, 0);
    ordered_.resize(n);
    for (int k = 0; k < n; ++k) ordered_[k] = numbers[order[k]];
    kinds = species(st, n, ordered_.data());
    origin.assign(3 * size_t(n), 0.0);
    cotangent.assign(n, 0.0);
    std::fill(cotangent.begin(), cotangent.begin() + n_owned, 1.0);
  }

 private:
  std::vector<std::pair<int64_t, int64_t>> row_;
  Copies place_;
  std::vector<int32_t> ordered_;
};

// A rank's atoms and their pairs, for as long as its neighbour list lasts.
struct Rank {
  int n_atoms = 0, n_owned = 0;
  std::vector<int32_t> kinds;
  std::vector<int> within;
  std::vector<double> cotangent;
  Candidates candidates;
};

struct Kept {
  std::mutex mutex;
  std::unique_ptr<NeighbourList> list;
  std::unique_ptr<Rank> rank;
  // copies in the order of the list
  std::vector<int64_t> numbers;
  std::vector<int32_t> kinds;
  std::vector<double> positions;
};

std::mutex lists_mutex;
std::map<int64_t, std::shared_ptr<Kept>> lists;
int64_t next_list = 1;

std::shared_ptr<Kept> kept(int64_t id) {
  std::lock_guard<std::mutex> lock(lists_mutex);
  std::shared_ptr<Kept> &found = lists[id];
  if (!found) found = std::make_shared<Kept>();
  next_list = std::max(next_list, id + 1);
  return found;
}

template <class T>
T *zeros(Arena &memory, size_t n) {
  return static_cast<T *>(std::memset(memory.take(n * sizeof(T)), 0, n * sizeof(T)));
}

template <class T>
void gradients(const Student &st, const void *packed, const DistillBatch &batch,
               const double *directions, const double *eps, const double *plus,
               const double *minus, int threads, T *result, double *energies, double *forces) {
  const Engine<T> engine = engine_of<T>(st.shape.hidden);
  const int64_t M = batch.n_molecules, N = batch.first_atom[M];
  const std::vector<int32_t> kinds = species(st, N, batch.numbers);
  threads = int(std::max<int64_t>(1, std::min<int64_t>(threads, M)));
  Gradients<T> counted;
  const size_t size = result ? place<T>(st.shape, nullptr, counted) : 0;
  std::vector<Arena> memory(threads);
  std::vector<T *> sums(threads);
  std::vector<std::string> errors(threads);
  // the largest molecules first, each to the thread with the least to do; so the same batch is
  // always summed in the same order
  std::vector<int64_t> order(M), load(threads, 0);
  std::vector<std::vector<int64_t>> share(threads);
  for (int64_t m = 0; m < M; ++m) order[m] = m;
  auto atoms = [&](int64_t m) { return batch.first_atom[m + 1] - batch.first_atom[m]; };
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return atoms(a) > atoms(b); });
  for (int64_t m : order) {
    const int t = int(std::min_element(load.begin(), load.end()) - load.begin());
    share[t].push_back(m);
    load[t] += atoms(m);
  }
  Weights<T> weights;
  place(st.shape, static_cast<T *>(const_cast<void *>(packed)), weights);

  Pool::shared().run(threads, [&](int t) {
    try {
      Arena species_memory;
      Work<T> w{};
      w.shape = st.shape;
      w.weights = weights;
      Places<T> counting{nullptr};
      place_species(st.shape, counting);
      Places<T> placing{zeros<T>(species_memory, counting.used)};
      SpeciesArrays<T> by_species = place_species(st.shape, placing);
      w.phi0 = by_species.phi0, w.gphi0 = by_species.gphi0;
      w.dh0 = by_species.dh0, w.g0 = by_species.g0;
      engine.species_forward(w);
      Gradients<T> mine;
      if (result) {
        sums[t] = zeros<T>(memory[t], size);
        place(st.shape, sums[t], mine);
        w.gradients = mine;
      }
      Candidates candidates;
      std::vector<int32_t> i, j;
      std::vector<double> x, e, f, c;
      for (int64_t m : share[t]) {
        const int64_t a = batch.first_atom[m], n = batch.first_atom[m + 1] - a;
        const int64_t q = batch.first_pair[m], pairs = batch.first_pair[m + 1] - q;
        i.resize(pairs);
        j.resize(pairs);
        for (int64_t k = 0; k < pairs; ++k) {
          i[k] = batch.centre[q + k] - int32_t(a);
          j[k] = batch.neighbour[q + k] - int32_t(a);
          if (i[k] < 0 || j[k] < 0 || i[k] >= n || j[k] >= n)
            throw std::runtime_error("A pair of the batch joins two molecules.");
        }
        candidates.set({int(n), 1}, pairs, i.data(), j.data(),
                       batch.shift ? batch.shift + 3 * q : nullptr);
        e.resize(n);
        f.resize(3 * n);
        Problem<T> p{};
        p.student = &st;
        p.weights = weights;
        p.n_atoms = int(n);
        p.species = &kinds[a];
        p.candidates = &candidates;
        p.by_species = &by_species;
        p.threads = 1;
        Results out{e.data(), result ? nullptr : f.data(), nullptr, nullptr, 0, 0, 0};
        if (!result) {
          p.positions = batch.positions + 3 * a;
          if (n) evaluate(p, engine, out);
          double total = 0;
          for (int64_t k = 0; k < n; ++k) total += e[k] + st.elements[kinds[a + k]].reference;
          energies[m] = total;
          std::copy(f.begin(), f.end(), forces + 3 * a);
          continue;
        }
        x.resize(3 * n);
        c.resize(n);
        p.positions = x.data();
        p.cotangent = c.data();
        p.gradients = &mine;
        for (int side = 0; side < 2; ++side) {
          const double step = side ? -eps[m] : eps[m], weight = side ? minus[m] : plus[m];
          if (weight == 0 || n == 0) continue;
          for (int64_t k = 0; k < 3 * n; ++k)
            x[k] = batch.positions[3 * a + k] + step * directions[3 * a + k];
          std::fill(c.begin(), c.end(), weight);
          evaluate(p, engine, out);
        }
      }
      if (result) engine.species_backward(w);
    } catch (const std::exception &error) {
      errors[t] = error.what();
    }
  });
  for (const std::string &error : errors)
    if (!error.empty()) throw std::runtime_error(error);
  if (!result) return;
  for (int t = 1; t < threads; ++t)
    for (size_t k = 0; k < size; ++k) sums[0][k] += sums[t][k];
  Gradients<T> total;
  place(st.shape, sums[0], total);
  unpack(st, engine, total, basis_of<T>(st), result);
}

}  // namespace
}  // namespace distill

using namespace distill;

const char *distill_error() { return last_error.c_str(); }
const char *distill_isa() { return ISA_NAMES[isa]; }

int distill_set_isa(const char *name) {
  return guarded([&] {
    for (int k = 0; k <= best_isa(); ++k)
      if (!std::strcmp(ISA_NAMES[k], name)) {
        isa = k;
        return;
      }
    throw std::runtime_error(std::string("This machine does not have ") + name + ".");
  });
}

int distill_sizes(const double *meta, int64_t meta_length, int64_t *parameters, int64_t *packed) {
  return guarded([&] {
    const Student st(meta, meta_length);
    Weights<float> w;
    *packed = int64_t(place<float>(st.shape, nullptr, w));
    *parameters = int64_t(parameter_count(st));
  });
}

int distill_pack(const double *meta, int64_t meta_length, int precision, const void *parameters,
                 void *packed) {
  return guarded([&] {
    const Student st(meta, meta_length);
    with_precision(precision, [&](auto zero) {
      typedef decltype(zero) T;
      pack(st, engine_of<T>(st.shape.hidden), static_cast<const T *>(parameters),
           basis_of<T>(st), static_cast<T *>(packed));
    });
  });
}

int distill_evaluate(const double *meta, int64_t meta_length, int precision, const void *packed,
                     int64_t n_atoms, const int64_t *numbers, const double *positions,
                     int64_t n_edges, const int64_t *centre, const int64_t *neighbour,
                     const double *shift, const double *weights, int threads, double *energies,
                     double *forces, double *virial, double *closest, const void *latent,
                     double *distances) {
  return guarded([&] {
    const Student st(meta, meta_length);
    const std::vector<int32_t> kinds = species(st, n_atoms, numbers);
    threads = usable_threads(threads, n_atoms);
    static thread_local Candidates candidates;
    if (n_atoms)
      one_direction(n_atoms, n_edges, centre, neighbour, shift, {int(n_atoms), threads},
                    candidates);
    with_precision(precision, [&](auto zero) {
      run<decltype(zero)>(st, packed, int(n_atoms), kinds.data(), positions, candidates, weights,
                          threads, nullptr, nullptr, energies, forces, virial, closest, latent,
                          distances);
    });
  });
}

int distill_evaluate_part(const double *meta, int64_t meta_length, int precision,
                          const void *packed, int64_t n_atoms, int64_t n_owned,
                          const int32_t *numbers, int64_t n_pairs, const int32_t *centre,
                          const int32_t *neighbour, const double *vectors, const int32_t *ids,
                          const double *positions, double *energies, double *forces,
                          double *virial, double *closest, const void *latent, double *distances,
                          int32_t *images) {
  return guarded([&] {
    const Student st(meta, meta_length);
    static thread_local Part part;
    part.set(st, n_atoms, n_owned, numbers, n_pairs, centre, neighbour, vectors, ids, positions);
    if (images)
      for (int k = 0; k < 3; ++k) {
        images[2 * k] = k < part.images.count ? part.images.copy[k] : -1;
        images[2 * k + 1] = k < part.images.count ? part.images.original[k] : -1;
      }
    const int n = int(part.order.size());
    std::vector<double> e(n_atoms), d(distances ? n_atoms : 0);
    std::fill(forces, forces + 3 * n_atoms, 0.0);
    with_precision(precision, [&](auto zero) {
      run<decltype(zero)>(st, packed, n, part.kinds.data(), part.origin.data(), part.candidates,
                          part.cotangent.data(), 1, part.order.data(), part.within.data(), e.data(),
                          forces, virial, closest, latent, distances ? d.data() : nullptr);
    });
    std::copy(e.begin(), e.begin() + n_owned, energies);
    if (distances) std::copy(d.begin(), d.begin() + n_owned, distances);
  });
}

int64_t distill_new_list() {
  std::lock_guard<std::mutex> lock(lists_mutex);
  return next_list++;
}

void distill_free_list(int64_t list) {
  std::lock_guard<std::mutex> lock(lists_mutex);
  lists.erase(list);
}

int64_t distill_list_rebuilds(int64_t list) {
  const std::shared_ptr<Kept> k = kept(list);
  return k->list ? k->list->rebuilds() : 0;
}

int distill_evaluate_md(const double *meta, int64_t meta_length, int precision, const void *packed,
                        int64_t n_atoms, const int64_t *numbers, const double *positions,
                        const double *box, const uint8_t *periodic, int64_t list, double skin,
                        int threads, double *energies, double *forces, double *virial,
                        double *closest, const void *latent, double *distances) {
  return guarded([&] {
    const Student st(meta, meta_length);
    threads = usable_threads(threads, n_atoms);
    const std::shared_ptr<Kept> k = kept(list);
    std::lock_guard<std::mutex> lock(k->mutex);
    if (!k->list || k->list->cutoff() != st.cutoff || k->list->skin() != skin)
      k->list.reset(new NeighbourList(st.cutoff, skin));
    bool repeats[3] = {false, false, false};
    if (box && periodic)
      for (int d = 0; d < 3; ++d) repeats[d] = periodic[d] != 0;
    const int64_t before = k->list->rebuilds();
    k->list->update(int(n_atoms), positions, box, repeats, threads);
    const std::vector<int32_t> &order = k->list->order();
    if (k->list->rebuilds() != before || int64_t(k->numbers.size()) != n_atoms ||
        std::memcmp(k->numbers.data(), numbers, n_atoms * sizeof(int64_t))) {
      const std::vector<int32_t> kinds = species(st, n_atoms, numbers);
      k->numbers.assign(numbers, numbers + n_atoms);
      k->kinds.resize(n_atoms);
      for (int64_t i = 0; i < n_atoms; ++i) k->kinds[i] = kinds[order.empty() ? i : order[i]];
    }
    const double *x = positions;
    if (!order.empty()) {
      k->positions.resize(3 * n_atoms);
      for (int64_t i = 0; i < n_atoms; ++i)
        std::memcpy(&k->positions[3 * i], positions + 3 * int64_t(order[i]), 3 * sizeof(double));
      x = k->positions.data();
    }
    with_precision(precision, [&](auto zero) {
      run<decltype(zero)>(st, packed, int(n_atoms), k->kinds.data(), x, k->list->candidates(),
                          nullptr, threads, order.empty() ? nullptr : order.data(), nullptr,
                          energies, forces, virial, closest, latent, distances);
    });
  });
}

int distill_rank_pairs(int64_t list, const double *meta, int64_t meta_length, int64_t n_atoms,
                       int64_t n_owned, const int32_t *numbers, const int32_t *row_lengths,
                       const int32_t *const *rows, int32_t mask) {
  return guarded([&] {
    const Student st(meta, meta_length);
    const std::shared_ptr<Kept> k = kept(list);
    std::lock_guard<std::mutex> lock(k->mutex);
    k->rank.reset();
    std::unique_ptr<Rank> rank(new Rank);
    rank->n_atoms = int(n_atoms);
    rank->n_owned = int(n_owned);
    rank->kinds = species(st, n_atoms, numbers);
    rank->within.assign(st.shape.layers, int(n_owned));
    rank->within.push_back(int(n_atoms));
    rank->cotangent.assign(n_atoms, 0.0);
    std::fill(rank->cotangent.begin(), rank->cotangent.begin() + n_owned, 1.0);
    Candidates &c = rank->candidates;
    c.first.assign(1, 0);
    for (int64_t i = 0; i < n_atoms; ++i) {
      if (i < n_owned)
        for (int32_t e = 0; e < row_lengths[i]; ++e) {
          const int32_t j = rows[i][e] & mask;
          if (j < 0 || j >= n_atoms) throw std::runtime_error("A pair names an atom that is not there.");
          c.j.push_back(j);
        }
      c.first.push_back(int32_t(c.j.size()));
    }
    c.to = c.j;
    c.halo_of.assign(2, 0);
    c.owed_to.assign(2, 0);
    k->rank = std::move(rank);
  });
}

int distill_rank_evaluate(int64_t list, const double *meta, int64_t meta_length, int precision,
                          const void *packed, const double *positions, DistillExchange exchange,
                          void *context, double unit, double *energies, double *forces,
                          double *closest) {
  return guarded([&] {
    const Student st(meta, meta_length);
    const std::shared_ptr<Kept> k = kept(list);
    std::lock_guard<std::mutex> lock(k->mutex);
    if (!k->rank) throw std::runtime_error("The rank's pairs have not been given.");
    const Rank &rank = *k->rank;
    const size_t n = rank.n_atoms;
    static thread_local std::vector<double> e, f;
    e.resize(n);
    f.resize(3 * n);
    const Exchange between{exchange, context};
    Results out{e.data(), f.data(), nullptr, nullptr, 1e300, 0, 0};
    with_precision(precision, [&](auto zero) {
      typedef decltype(zero) T;
      Problem<T> p{};
      p.student = &st;
      place(st.shape, static_cast<T *>(const_cast<void *>(packed)), p.weights);
      p.n_atoms = rank.n_atoms;
      p.species = rank.kinds.data();
      p.positions = positions;
      p.candidates = &rank.candidates;
      p.cotangent = rank.cotangent.data();
      p.threads = 1;
      p.within = rank.within.data();
      p.exchange = &between;
      // also on a rank without atoms: the others wait for its part in the exchange
      evaluate(p, engine_of<T>(st.shape.hidden), out);
    });
    for (int i = 0; i < rank.n_owned; ++i)
      energies[i] = unit * (e[i] + st.elements[rank.kinds[i]].reference);
    for (size_t i = 0; i < 3 * n; ++i) forces[i] += unit * f[i];
    if (closest) closest[0] = out.closest, closest[1] = out.closest_i, closest[2] = out.closest_j;
  });
}

int64_t distill_neighbours(int64_t n_atoms, const double *positions, const double *box,
                           const uint8_t *periodic, double cutoff, int threads, int64_t *centre,
                           int64_t *neighbour, double *shift) {
  int64_t found = 0;
  const int failed = guarded([&] {
    NeighbourList list(cutoff, 0.0);
    bool repeats[3] = {false, false, false};
    if (box && periodic)
      for (int d = 0; d < 3; ++d) repeats[d] = periodic[d] != 0;
    list.update(int(n_atoms), positions, box, repeats, threads);
    const Candidates &c = list.candidates();
    auto put = [&](int64_t i, int64_t j, const double *s, double sign) {
      if (centre) {
        centre[found] = list.order().empty() ? i : list.order()[i];
        neighbour[found] = list.order().empty() ? j : list.order()[j];
        for (int d = 0; d < 3; ++d) shift[3 * found + d] = s ? sign * s[d] : 0.0;
      }
      ++found;
    };
    for (int64_t i = 0; i < n_atoms; ++i)
      for (int32_t e = c.first[i]; e < c.first[i + 1]; ++e) {
        const double *s = c.shift.empty() ? nullptr : &c.shift[3 * size_t(e)];
        put(i, c.j[e], s, 1.0);
        put(c.j[e], i, s, -1.0);
      }
  });
  return failed ? -1 : found;
}

int distill_batch(const double *meta, int64_t meta_length, int precision, const void *packed,
                  const DistillBatch *batch, int threads, double *energies, double *forces) {
  return guarded([&] {
    const Student st(meta, meta_length);
    with_precision(precision, [&](auto zero) {
      gradients<decltype(zero)>(st, packed, *batch, nullptr, nullptr, nullptr, nullptr, threads,
                                nullptr, energies, forces);
    });
  });
}

int distill_gradients(const double *meta, int64_t meta_length, int precision, const void *packed,
                      const DistillBatch *batch, const double *directions, const double *eps,
                      const double *plus, const double *minus, int threads, void *result) {
  return guarded([&] {
    const Student st(meta, meta_length);
    with_precision(precision, [&](auto zero) {
      typedef decltype(zero) T;
      gradients<T>(st, packed, *batch, directions, eps, plus, minus, threads,
                   static_cast<T *>(result), nullptr, nullptr);
    });
  });
}
