// pair_style distill: a student in LAMMPS without Python.
//
// Ranks exchange the features of ghost atoms after each layer, forward, and their gradients, backward;
// so no atom is computed twice, and ghosts reach one cutoff. The network is libdistill's.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "pair.h"
#include "student_file.h"

namespace LAMMPS_NS {

class PairDistill : public Pair {
 public:
  explicit PairDistill(LAMMPS *);
  ~PairDistill() override;
  void compute(int, int) override;
  void settings(int, char **) override;
  void coeff(int, char **) override;
  void init_style() override;
  double init_one(int, int) override;
  void setup() override;
  void finish() override;
  int pack_forward_comm(int, int *, double *, int, int *) override;
  void unpack_forward_comm(int, int, double *) override;
  int pack_reverse_comm(int, int, double *) override;
  void unpack_reverse_comm(int, int *, double *) override;
  double memory_usage() override;

 private:
  void read(const std::string &file);
  void pack();
  std::string bytes_of(const std::string &file);
  void check_exclusions();
  std::string not_known(int type) const;
  bool anywhere(bool here);
  std::string from_first(bool here, const std::string &words);
  bool removed(int atom) const;
  bool pairs_are_old() const;
  void new_pairs();
  bool trial() const;
  void judge(const double *closest);
  static void exchange(void *self, int direction, void *first, void *second, int64_t width);
  template <class T>
  void add(T *to, const T *from);

  int precision_ = 32;
  std::string name_;  // of the student's file
  distill_lammps::StudentFile file_;
  std::vector<double> meta_;    // of libdistill's functions
  std::vector<double> memory_;  // packed weights, with room to begin on a cache line
  void *packed_ = nullptr;
  int64_t list_;
  std::vector<int> number_of_;  // atomic number of each type; 0: NULL, not the student's
  std::vector<std::string> names_;  // the file's, and each type's
  std::vector<char> asked_;     // pairs of types for which LAMMPS has asked the cutoff
  double cutoff_ = 0, unit_ = 1;

  // of the neighbour list, owned and ghost atoms
  std::vector<int> types_;
  std::vector<int32_t> numbers_, lengths_;
  std::vector<const int32_t *> starts_;
  std::vector<char> counts_;  // owned atoms that are the student's, and there
  int64_t builds_ = -1;

  std::vector<double> energies_, forces_;
  std::string trouble_;  // with the last geometry of step trouble_step_
  int64_t trouble_step_ = 0;
  char *rows_[2];      // what is exchanged: two arrays
  int64_t width_ = 0;  // numbers a row
};

}  // namespace LAMMPS_NS
