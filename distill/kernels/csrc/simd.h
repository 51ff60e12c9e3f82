// Vectors by the compiler's own extension, as wide as DISTILL_BYTES. Included inside a namespace of
// its own for each instruction set; uses nothing of std, whose inline functions the linker would
// share between instruction sets.

template <class T>
struct Simd;
template <>
struct Simd<float> {
  typedef float V __attribute__((vector_size(DISTILL_BYTES)));
  typedef int32_t I __attribute__((vector_size(DISTILL_BYTES)));
};
template <>
struct Simd<double> {
  typedef double V __attribute__((vector_size(DISTILL_BYTES)));
  typedef int64_t I __attribute__((vector_size(DISTILL_BYTES)));
};
template <class T>
using Vec = typename Simd<T>::V;
template <class T>
constexpr int WIDTH = DISTILL_BYTES / sizeof(T);

#define DISTILL_INLINE static inline __attribute__((always_inline))

template <class T>
DISTILL_INLINE Vec<T> load(const T *p) {
  Vec<T> v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
template <class T>
DISTILL_INLINE void store(T *p, Vec<T> v) {
  __builtin_memcpy(p, &v, sizeof v);
}
template <class T>
DISTILL_INLINE void add_to(T *p, Vec<T> v) {
  store<T>(p, load<T>(p) + v);
}
template <class T>
DISTILL_INLINE T sum(Vec<T> v) {
  // halves, so that the additions go in parallel
  T lanes[WIDTH<T>];
  __builtin_memcpy(lanes, &v, sizeof v);
  for (int n = WIDTH<T> / 2; n > 0; n /= 2)
    for (int k = 0; k < n; ++k) lanes[k] += lanes[k + n];
  return lanes[0];
}

// exp(x), to a few units in the last place: x = n ln 2 + r, a polynomial in r, 2^n by its bits.
DISTILL_INLINE Vec<float> exp_of(Vec<float> x) {
  typedef Simd<float>::I I;
  const Vec<float> low = Vec<float>{} - 87.0f, high = Vec<float>{} + 88.0f;
  x = x < low ? low : x;
  x = x > high ? high : x;
  const float magic = 12582912.0f;  // 1.5 x 2^23: adding it rounds to a whole number
  Vec<float> t = x * 1.44269504088896341f + magic;
  I n = (I)t - (I)(Vec<float>{} + magic);
  t = t - magic;
  Vec<float> r = x - t * 0.693359375f + t * 2.12194440e-4f;
  Vec<float> p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  return p * (Vec<float>)((n + 127) << 23);
}
DISTILL_INLINE Vec<double> exp_of(Vec<double> x) {
  typedef Simd<double>::I I;
  const Vec<double> low = Vec<double>{} - 700.0, high = Vec<double>{} + 700.0;
  x = x < low ? low : x;
  x = x > high ? high : x;
  const double magic = 6755399441055744.0;  // 1.5 x 2^52
  Vec<double> t = x * 1.4426950408889634074 + magic;
  I n = (I)t - (I)(Vec<double>{} + magic);
  t = t - magic;
  Vec<double> r = x - t * 6.93147180369123816490e-01 - t * 1.90821492927058770002e-10;
  Vec<double> p = Vec<double>{} + 1.0 / 6227020800.0;  // Taylor to r^13: |r| < 0.35
  const double factorial[13] = {479001600.0, 39916800.0, 3628800.0, 362880.0, 40320.0, 5040.0,
                                720.0,       120.0,      24.0,      6.0,      2.0,     1.0,
                                1.0};
  for (int k = 0; k < 13; ++k) p = p * r + 1.0 / factorial[k];
  return p * (Vec<double>)((n + 1023) << 52);
}

// x of n values becomes silu(x), and slope its derivative there
template <class T>
DISTILL_INLINE void silu(T *x, T *slope, long n) {
  for (long k = 0; k < n; k += WIDTH<T>) {
    Vec<T> y = load<T>(x + k);
    Vec<T> sigmoid = T(1) / (T(1) + exp_of(-y));
    Vec<T> z = y * sigmoid;
    store<T>(x + k, z);
    store<T>(slope + k, sigmoid + z * (T(1) - sigmoid));
  }
}
