// The six quintic B-splines that are not zero at t in [0, 1] between two knots, and derivatives by t.
#pragma once

namespace distill {

// internal linkage: each instruction set has its own
#define DISTILL_SPLINE static inline __attribute__((always_inline, unused))

template <class T>
DISTILL_SPLINE void b_splines(T t, T *b) {
  const T t2 = t * t, t3 = t2 * t, t4 = t3 * t, t5 = t4 * t, s = 1 - t, s2 = s * s;
  const T scale = T(1.0 / 120);
  b[0] = s2 * s2 * s * scale;
  b[1] = (26 - 50 * t + 20 * t2 + 20 * t3 - 20 * t4 + 5 * t5) * scale;
  b[2] = (66 - 60 * t2 + 30 * t4 - 10 * t5) * scale;
  b[3] = (26 + 50 * t + 20 * t2 - 20 * t3 - 20 * t4 + 10 * t5) * scale;
  b[4] = (1 + 5 * t + 10 * t2 + 10 * t3 + 5 * t4 - 5 * t5) * scale;
  b[5] = t5 * scale;
}

template <class T>
DISTILL_SPLINE void b_spline_slopes(T t, T *d) {
  const T t2 = t * t, t3 = t2 * t, t4 = t3 * t, s = 1 - t, s2 = s * s;
  const T scale = T(1.0 / 24);
  d[0] = -s2 * s2 * scale;
  d[1] = (-10 + 8 * t + 12 * t2 - 16 * t3 + 5 * t4) * scale;
  d[2] = (-24 * t + 24 * t3 - 10 * t4) * scale;
  d[3] = (10 + 8 * t - 12 * t2 - 16 * t3 + 10 * t4) * scale;
  d[4] = (1 + 4 * t + 6 * t2 + 4 * t3 - 5 * t4) * scale;
  d[5] = t4 * scale;
}

DISTILL_SPLINE void b_spline_second(double t, double *e) {
  const double t2 = t * t, t3 = t2 * t, s = 1 - t;
  e[0] = s * s * s / 6;
  e[1] = (2 + 6 * t - 12 * t2 + 5 * t3) / 6;
  e[2] = (-6 + 18 * t2 - 10 * t3) / 6;
  e[3] = (2 - 6 * t - 12 * t2 + 10 * t3) / 6;
  e[4] = (1 + 3 * t + 3 * t2 - 5 * t3) / 6;
  e[5] = t3 / 6;
}

}  // namespace distill
