// What LAMMPS' `plugin load` looks for. The structure is that of LAMMPS' lammpsplugin.h, which
// installations lack.
#include "lammps.h"
#include "pair_distill.h"

extern "C" {
typedef void *(factory1)(void *);
typedef void *(factory2)(void *, int, char **);
struct lammpsplugin_t {
  const char *version, *style, *name, *info, *author;
  union {
    factory1 *v1;
    factory2 *v2;
  } creator;
  void *handle;
};
typedef void (*register_function)(void *, void *);

__attribute__((visibility("default"))) void lammpsplugin_init(void *lammps, void *handle,
                                                              void *registration) {
  static lammpsplugin_t plugin;
  LAMMPS_NS::LAMMPS *instance = static_cast<LAMMPS_NS::LAMMPS *>(lammps);
  plugin.version = instance->version;
  plugin.style = "pair";
  plugin.name = "distill";
  plugin.info = "students of MLFF Distiller";
  plugin.author = "the MLFF Distiller developers";
  plugin.creator.v1 = [](void *pointer) -> void * {
    return new LAMMPS_NS::PairDistill(static_cast<LAMMPS_NS::LAMMPS *>(pointer));
  };
  plugin.handle = handle;
  reinterpret_cast<register_function>(registration)(&plugin, lammps);
}
}
