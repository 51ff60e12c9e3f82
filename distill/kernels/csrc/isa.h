// Compiled once for each instruction set: DISTILL_NAME, DISTILL_BYTES and DISTILL_TILE are set.
// Nothing of std may be instantiated here (see simd.h).
#include "splines.h"
#include "work.h"

namespace distill {
namespace DISTILL_NAME {

DISTILL_UNUSED static inline float SQRT(float x) { return __builtin_sqrtf(x); }
DISTILL_UNUSED static inline double SQRT(double x) { return __builtin_sqrt(x); }

#include "simd.h"
#include "gemm.h"
#include "engine.h"

template <class T>
static Engine<T> pick(int hidden) {
  switch (hidden) {
    case 32: return Network<T, 32>::engine();
    case 64: return Network<T, 64>::engine();
    case 128: return Network<T, 128>::engine();
    default: return Network<T, 0>::engine();
  }
}

Engine<float> engine_float(int hidden) { return pick<float>(hidden); }
// float64 is for tests and minimizations: one width for all
Engine<double> engine_double(int) { return Network<double, 0>::engine(); }

}  // namespace DISTILL_NAME
}  // namespace distill
