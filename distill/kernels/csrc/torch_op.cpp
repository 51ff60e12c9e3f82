// The kernel as operators of torch, by torch's stable C interface. Its functions are looked up in
// the torch that is loaded already: nothing of torch is needed to build this library, and one build
// serves all versions of torch that have the interface (2.10 and later).
//
//   distill::painn(meta, packed, positions, numbers, edge_index, edge_shift, weights, threads)
//   distill::painn_md(meta, packed, positions, numbers, box, list, skin, threads)
//   both -> (energies (N,) float64, forces (N, 3) float64, virial (3, 3) float64)
//
// See api.h; weights (N,) or empty, box (3, 3) float64 or empty.
#include <dlfcn.h>

#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "api.h"

namespace {

typedef void *Tensor;
typedef void *Library;
typedef uint64_t Value;
typedef int32_t Error;

struct Torch {
  Error (*get_data_ptr)(Tensor, void **);
  Error (*get_sizes)(Tensor, int64_t **);
  Error (*get_dim)(Tensor, int64_t *);
  Error (*get_dtype)(Tensor, int32_t *);
  Error (*get_device_type)(Tensor, int32_t *);
  Error (*is_contiguous)(Tensor, bool *);
  Error (*delete_tensor_object)(Tensor);
  Error (*empty_strided)(int64_t, const int64_t *, const int64_t *, int32_t, int32_t, int32_t,
                         Tensor *);
  Error (*library_init_def)(const char *, const char *, uint32_t, Library *);
  Error (*library_init_impl)(const char *, const char *, const char *, uint32_t, Library *);
  Error (*library_def)(Library, const char *);
  Error (*library_impl)(Library, const char *, void (*)(Value *, uint64_t, uint64_t));
} torch;

constexpr int32_t CPU = 0, INT64 = 4, FLOAT32 = 6, FLOAT64 = 7;

[[noreturn]] void fail(const std::string &why) { throw std::runtime_error(why); }
void check(Error error) {
  if (error) fail("a call of torch failed");
}

// An argument; its reference ends with it.
class Argument {
 public:
  explicit Argument(Value value, const char *name) : name_(name) {
    std::memcpy(&tensor_, &value, sizeof tensor_);
  }
  ~Argument() { torch.delete_tensor_object(tensor_); }
  Argument(const Argument &) = delete;

  int64_t size(int d) const {
    int64_t dim, *sizes;
    check(torch.get_dim(tensor_, &dim));
    check(torch.get_sizes(tensor_, &sizes));
    if (d >= dim) fail(std::string(name_) + " has too few dimensions");
    return sizes[d];
  }
  int64_t count() const {
    int64_t dim, *sizes, n = 1;
    check(torch.get_dim(tensor_, &dim));
    check(torch.get_sizes(tensor_, &sizes));
    for (int64_t d = 0; d < dim; ++d) n *= sizes[d];
    return n;
  }
  int32_t dtype() const {
    int32_t found;
    check(torch.get_dtype(tensor_, &found));
    return found;
  }
  const void *data() const {
    void *found;
    int32_t device;
    bool dense;
    check(torch.get_device_type(tensor_, &device));
    check(torch.is_contiguous(tensor_, &dense));
    if (device != CPU || !dense) fail(std::string(name_) + " must be contiguous and on the CPU");
    check(torch.get_data_ptr(tensor_, &found));
    return found;
  }
  const int64_t *int64s() const {
    if (dtype() != INT64) fail(std::string(name_) + " must be int64");
    return static_cast<const int64_t *>(data());
  }
  // as float64; copies what is float32
  const double *doubles() {
    if (dtype() == FLOAT64) return static_cast<const double *>(data());
    if (dtype() != FLOAT32) fail(std::string(name_) + " must be float32 or float64");
    const float *x = static_cast<const float *>(data());
    copy_.assign(x, x + count());
    return copy_.data();
  }
  int precision() const {
    if (dtype() != FLOAT32 && dtype() != FLOAT64)
      fail(std::string(name_) + " must be float32 or float64");
    return dtype() == FLOAT32 ? 32 : 64;
  }

 private:
  Tensor tensor_;
  const char *name_;
  std::vector<double> copy_;
};

double *make(std::vector<int64_t> sizes, Value &value) {
  std::vector<int64_t> strides(sizes.size(), 1);
  for (int d = int(sizes.size()) - 2; d >= 0; --d) strides[d] = strides[d + 1] * sizes[d + 1];
  Tensor tensor;
  void *data;
  check(torch.empty_strided(int64_t(sizes.size()), sizes.data(), strides.data(), FLOAT64, CPU, 0,
                            &tensor));
  check(torch.get_data_ptr(tensor, &data));
  value = 0;
  std::memcpy(&value, &tensor, sizeof tensor);
  return static_cast<double *>(data);
}

template <class T>
T scalar(Value value) {
  T out;
  std::memcpy(&out, &value, sizeof out);
  return out;
}

void painn(Value *stack, uint64_t, uint64_t) {
  Value results[3];
  {
    Argument meta(stack[0], "meta"), packed(stack[1], "packed"), positions(stack[2], "positions"),
        numbers(stack[3], "numbers"), edges(stack[4], "edge_index"), shift(stack[5], "edge_shift"),
        weights(stack[6], "weights");
    const int64_t n = positions.size(0), e = edges.size(1);
    if (numbers.count() != n || positions.count() != 3 * n || edges.count() != 2 * e ||
        shift.count() != 3 * e || (weights.count() != 0 && weights.count() != n))
      fail("the shapes of positions, numbers, edge_index and edge_shift do not go together");
    double *energies = make({n}, results[0]), *forces = make({n, 3}, results[1]),
           *virial = make({3, 3}, results[2]);
    const int64_t *index = edges.int64s();
    // a molecule in vacuum has no shifts: without them less is read
    const double *shifts = shift.doubles();
    bool shifted = false;
    for (int64_t k = 0; k < 3 * e && !shifted; ++k) shifted = shifts[k] != 0;
    if (distill_evaluate(meta.doubles(), meta.count(), packed.precision(), packed.data(), n,
                         numbers.int64s(), positions.doubles(), e, index, index + e,
                         shifted ? shifts : nullptr, weights.count() ? weights.doubles() : nullptr,
                         int(scalar<int64_t>(stack[7])), energies, forces, virial, nullptr, nullptr,
                         nullptr))
      fail(distill_error());
  }
  std::memcpy(stack, results, sizeof results);
}

void painn_md(Value *stack, uint64_t, uint64_t) {
  Value results[3];
  {
    Argument meta(stack[0], "meta"), packed(stack[1], "packed"), positions(stack[2], "positions"),
        numbers(stack[3], "numbers"), box(stack[4], "box");
    const int64_t n = positions.size(0);
    if (numbers.count() != n || positions.count() != 3 * n ||
        (box.count() != 0 && box.count() != 9))
      fail("the shapes of positions, numbers and box do not go together");
    double *energies = make({n}, results[0]), *forces = make({n, 3}, results[1]),
           *virial = make({3, 3}, results[2]);
    const uint8_t periodic[3] = {1, 1, 1};
    if (distill_evaluate_md(meta.doubles(), meta.count(), packed.precision(), packed.data(), n,
                            numbers.int64s(), positions.doubles(),
                            box.count() ? box.doubles() : nullptr, periodic,
                            scalar<int64_t>(stack[5]), scalar<double>(stack[6]),
                            int(scalar<int64_t>(stack[7])), energies, forces, virial, nullptr, nullptr,
                            nullptr))
      fail(distill_error());
  }
  std::memcpy(stack, results, sizeof results);
}

template <class F>
bool find(void *library, const char *name, F &function) {
  void *symbol = dlsym(library, name);
  std::memcpy(&function, &symbol, sizeof symbol);
  return symbol != nullptr;
}

}  // namespace

// 0 when the operators are there (also from an earlier call); -1 when torch is not loaded or lacks
// the interface. path: torch's library libtorch_cpu, loaded already.
DISTILL_API int distill_register_operators(const char *path) {
  static bool done = false;
  if (done) return 0;
  void *library = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
  if (!library) return -1;
  const bool there =
      find(library, "aoti_torch_get_data_ptr", torch.get_data_ptr) &&
      find(library, "aoti_torch_get_sizes", torch.get_sizes) &&
      find(library, "aoti_torch_get_dim", torch.get_dim) &&
      find(library, "aoti_torch_get_dtype", torch.get_dtype) &&
      find(library, "aoti_torch_get_device_type", torch.get_device_type) &&
      find(library, "aoti_torch_is_contiguous", torch.is_contiguous) &&
      find(library, "aoti_torch_delete_tensor_object", torch.delete_tensor_object) &&
      find(library, "aoti_torch_empty_strided", torch.empty_strided) &&
      find(library, "aoti_torch_library_init_def", torch.library_init_def) &&
      find(library, "aoti_torch_library_init_impl", torch.library_init_impl) &&
      find(library, "aoti_torch_library_def", torch.library_def) &&
      find(library, "aoti_torch_library_impl", torch.library_impl);
  if (!there) return -1;
  Library definitions, implementations;  // kept for as long as the program runs
  if (torch.library_init_def("distill", __FILE__, __LINE__, &definitions)) return -1;
  if (torch.library_def(definitions,
                        "painn(Tensor meta, Tensor packed, Tensor positions, Tensor numbers, "
                        "Tensor edge_index, Tensor edge_shift, Tensor weights, int threads) "
                        "-> (Tensor, Tensor, Tensor)") ||
      torch.library_def(definitions,
                        "painn_md(Tensor meta, Tensor packed, Tensor positions, Tensor numbers, "
                        "Tensor box, int list, float skin, int threads) "
                        "-> (Tensor, Tensor, Tensor)") ||
      torch.library_init_impl("distill", "CPU", __FILE__, __LINE__, &implementations) ||
      torch.library_impl(implementations, "painn", painn) ||
      torch.library_impl(implementations, "painn_md", painn_md))
    return -1;
  done = true;
  return 0;
}
