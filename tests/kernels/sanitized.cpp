// Runs the kernel over everything that threads and pointers can go wrong in; compiled with a
// sanitizer by test_sanitizers.py, which also writes the file of arrays that it reads.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <thread>
#include <vector>

#include "../../distill/kernels/csrc/api.h"

static std::ifstream file;

template <class T>
std::vector<T> next() {
  int64_t n;
  file.read(reinterpret_cast<char *>(&n), sizeof n);
  std::vector<T> values(n);
  file.read(reinterpret_cast<char *>(values.data()), n * sizeof(T));
  if (!file) std::abort();
  return values;
}

static void check(int failed) {
  if (failed) {
    std::fprintf(stderr, "%s\n", distill_error());
    std::exit(1);
  }
}

int main(int, char **arguments) {
  file.open(arguments[1], std::ios::binary);
  const auto meta = next<double>();
  const auto parameters = next<float>();
  const auto numbers = next<int64_t>();
  const auto start = next<double>();
  const auto box = next<double>();
  const auto first_atom = next<int64_t>(), first_pair = next<int64_t>();
  const auto centre = next<int32_t>(), neighbour = next<int32_t>();
  const int64_t n = int64_t(numbers.size()), length = int64_t(meta.size());
  const int64_t molecules = int64_t(first_atom.size()) - 1;
  int64_t counts[2];
  check(distill_sizes(meta.data(), length, &counts[0], &counts[1]));
  std::vector<float> packed(counts[1], 0.0f), gradient(counts[0]);
  check(distill_pack(meta.data(), length, 32, parameters.data(), packed.data()));

  // two callers at a time, each with threads of its own, with and without a box
  auto walk = [&](bool periodic, int64_t list, int threads) {
    std::vector<double> x = start, e(n), f(3 * n), v(9), c(3), d(n);
    // means and whitening of nothing
    const std::vector<float> latent((size_t(meta[3]) + size_t(meta[0])) * size_t(meta[0]), 0.1f);
    const uint8_t flags[3] = {1, 1, 1};
    for (int step = 0; step < 6; ++step) {
      check(distill_evaluate_md(meta.data(), length, 32, packed.data(), n, numbers.data(),
                                x.data(), periodic ? box.data() : nullptr, flags, list, 0.5,
                                threads, e.data(), f.data(), v.data(), c.data(), latent.data(),
                                d.data()));
      for (int64_t k = 0; k < 3 * n; ++k) x[k] += 0.05 * ((k * 7919 + step) % 11 - 5) / 5.0;
    }
    check(distill_evaluate_md(meta.data(), length, 32, packed.data(), n / 3, numbers.data(),
                              x.data(), nullptr, flags, list, 0.5, threads, e.data(), f.data(),
                              nullptr, nullptr, nullptr, nullptr));
    distill_free_list(list);
  };
  std::thread other([&] { walk(true, distill_new_list(), 4); });
  walk(false, distill_new_list(), 3);
  other.join();

  DistillBatch batch{molecules,       first_atom.data(), numbers.data(),   start.data(),
                     first_pair.data(), centre.data(),     neighbour.data(), nullptr};
  std::vector<double> energies(molecules), forces(3 * n), eps(molecules, 1e-3),
      plus(molecules, 0.5), minus(molecules, -0.5);
  for (int threads : {1, 3}) {
    check(distill_batch(meta.data(), length, 32, packed.data(), &batch, threads, energies.data(),
                        forces.data()));
    check(distill_gradients(meta.data(), length, 32, packed.data(), &batch, forces.data(),
                            eps.data(), plus.data(), minus.data(), threads, gradient.data()));
  }
  std::printf("done\n");
}
