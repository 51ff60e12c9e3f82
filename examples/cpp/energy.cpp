// Energy and forces of an XYZ file by a student that `distill export --format aoti` has written.
//
//   ./energy tiny.pt2 molecule.xyz
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#include <torch/torch.h>

#include <cstdio>
#include <fstream>
#include <map>
#include <string>
#include <vector>

int main(int argc, char **argv) {
  if (argc != 3) return std::fprintf(stderr, "usage: %s STUDENT.pt2 MOLECULE.xyz\n", argv[0]), 2;
  const std::map<std::string, int64_t> atomic_numbers{{"H", 1}, {"C", 6}, {"N", 7}, {"O", 8}, {"F", 9},
                                                      {"P", 15}, {"S", 16}, {"Cl", 17}, {"Br", 35}, {"I", 53}};
  std::ifstream file(argv[2]);
  std::string line, symbol;
  size_t n = 0;
  if (!(file >> n)) return std::fprintf(stderr, "%s is not an XYZ file\n", argv[2]), 1;
  std::getline(file, line);
  std::getline(file, line);  // the comment
  std::vector<float> x(3 * n);
  std::vector<int64_t> numbers;
  for (size_t i = 0; i < n; ++i) {
    if (!(file >> symbol >> x[3 * i] >> x[3 * i + 1] >> x[3 * i + 2]) || !atomic_numbers.count(symbol))
      return std::fprintf(stderr, "atom %zu of %s cannot be read, or its element is unknown\n", i, argv[2]), 1;
    std::getline(file, line);  // what else the line holds
    numbers.push_back(atomic_numbers.at(symbol));
  }
  // all pairs within the student's cutoff of 5 Å, in both directions; more would do no harm
  std::vector<int64_t> centre, neighbour;
  for (size_t i = 0; i < n; ++i)
    for (size_t j = 0; j < n; ++j) {
      float r2 = 0;
      for (int d = 0; d < 3; ++d) r2 += (x[3 * i + d] - x[3 * j + d]) * (x[3 * i + d] - x[3 * j + d]);
      if (i != j && r2 < 25) centre.push_back(i), neighbour.push_back(j);
    }
  const int64_t atoms = n, edges = centre.size();
  const auto whole = torch::kInt64;
  const torch::Tensor pairs = torch::stack({torch::tensor(centre, whole), torch::tensor(neighbour, whole)});

  try {
    torch::NoGradGuard no_gradients;
    torch::inductor::AOTIModelPackageLoader student(argv[1]);
    const std::vector<torch::Tensor> result = student.run(
        {torch::from_blob(x.data(), {atoms, 3}), torch::tensor(numbers, whole), pairs, torch::zeros({edges, 3})});
    std::printf("energy: %.6f eV\nforces (eV/A):\n", result[0].item<double>());
    for (int64_t i = 0; i < atoms; ++i)
      std::printf("%3ld %12.6f %12.6f %12.6f\n", long(numbers[i]), result[1][i][0].item<float>(),
                  result[1][i][1].item<float>(), result[1][i][2].item<float>());
  } catch (const c10::Error &error) {
    return std::fprintf(stderr, "%s: %s\n", argv[1], error.what_without_backtrace()), 1;
  } catch (const std::exception &error) {
    return std::fprintf(stderr, "%s: %s\n", argv[1], error.what()), 1;
  }
}
