// A student as `distill export --format lammps` writes it; plugins/distill_lammps/export.py says how.
#pragma once
#include <string>
#include <vector>

namespace distill_lammps {

struct StudentFile {
  std::vector<std::string> elements;
  std::vector<double> meta[2];  // of libdistill's functions: single, double
  std::vector<double> parameters;
};

// From the file's bytes; nothing in them is believed before the checksum is right and each size
// possible. Throws std::runtime_error with a sentence, in which the file is called `name`.
StudentFile read_student(const std::string &name, const std::string &bytes);

}  // namespace distill_lammps
