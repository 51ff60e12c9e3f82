#include "student_file.h"

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <sstream>
#include <stdexcept>

namespace distill_lammps {

namespace {
const std::string MAGIC = "mlff-distiller lammps 3\n";
const char AGAIN[] = "write it again, distill export NAME --format lammps";

// zlib's CRC-32
uint32_t crc32(const char *bytes, size_t count) {
  uint32_t crc = ~0u;
  for (size_t k = 0; k < count; ++k) {
    crc ^= static_cast<unsigned char>(bytes[k]);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1u)));
  }
  return ~crc;
}

bool whole_number(double x, double least, double most) {
  return x >= least && x <= most && x == std::floor(x);
}

// libdistill takes its description on trust
bool possible(const std::vector<double> &meta, size_t n_elements) {
  for (double x : meta)
    if (!std::isfinite(x)) return false;
  if (meta.size() != 7 + 4 * n_elements || meta[3] != double(n_elements)) return false;
  // features, layers, Bessel functions, intervals; it knows itself which of them it takes
  if (!whole_number(meta[0], 1, 1e6) || !whole_number(meta[1], 1, 1e6) ||
      !whole_number(meta[2], 1, 1000) || !whole_number(meta[4], 8, 1e5))
    return false;
  if (!(meta[5] > 0.1 && meta[5] < 100 && meta[6] > 0 && meta[6] < 1e6)) return false;  // cutoff, softening
  for (size_t k = 0; k < n_elements; ++k)
    if (!whole_number(meta[7 + 4 * k], 1, 118)) return false;
  return true;
}
}  // namespace

StudentFile read_student(const std::string &name, const std::string &bytes) {
  if (bytes.compare(0, MAGIC.size(), MAGIC))
    throw std::runtime_error(name + " is not of this version's format: " + AGAIN);
  const std::string damaged = name + " is cut off or damaged: " + AGAIN;
  const size_t end = bytes.find('\n', MAGIC.size());
  if (end == std::string::npos || end - MAGIC.size() != 8) throw std::runtime_error(damaged);
  const char *at = bytes.data() + end + 1, *stop = bytes.data() + bytes.size();
  char sum[9];
  std::snprintf(sum, sizeof sum, "%08x", unsigned(crc32(at, stop - at)));
  if (bytes.compare(MAGIC.size(), 8, sum)) throw std::runtime_error(damaged);
  StudentFile student;
  const void *line = std::memchr(at, '\n', stop - at);
  if (!line) throw std::runtime_error(damaged);
  std::istringstream words(std::string(at, static_cast<const char *>(line)));
  for (std::string word; words >> word;) student.elements.push_back(word);
  at = static_cast<const char *>(line) + 1;
  int64_t sizes[3];  // meta (single), meta (double), parameters
  if (stop - at < int64_t(sizeof sizes)) throw std::runtime_error(damaged);
  std::memcpy(sizes, at, sizeof sizes);
  at += sizeof sizes;
  const int64_t room = (stop - at) / 8;
  for (int64_t size : sizes)
    if (size < 1 || size > room) throw std::runtime_error(damaged);
  if (sizes[0] + sizes[1] + sizes[2] != room || (stop - at) % 8) throw std::runtime_error(damaged);
  std::vector<double> *parts[3] = {&student.meta[0], &student.meta[1], &student.parameters};
  for (int k = 0; k < 3; ++k) {
    parts[k]->resize(sizes[k]);
    std::memcpy(parts[k]->data(), at, 8 * sizes[k]);
    at += 8 * sizes[k];
  }
  for (const std::vector<double> &meta : student.meta)
    if (!possible(meta, student.elements.size())) throw std::runtime_error(damaged);
  for (double x : student.parameters)
    if (!std::isfinite(x)) throw std::runtime_error(name + " holds weights that are not numbers: " + AGAIN);
  return student;
}

}  // namespace distill_lammps
