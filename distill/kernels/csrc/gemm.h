// Small matrix products, blocked in registers: R rows times NV vectors of columns at a time.

// C (R x NV vectors) = [C or bias or 0] + sum over k of A[r, k] B[k, :]
template <class T, int R, int NV>
static inline void tile(int k_end, const T *a, long row_stride, long k_stride, const T *b, long ldb,
                        T *c, long ldc, const T *bias, bool add) {
  constexpr int W = WIDTH<T>;
  Vec<T> sums[R][NV];
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < NV; ++v)
      sums[r][v] = add ? load<T>(c + r * ldc + v * W) : bias ? load<T>(bias + v * W) : Vec<T>{};
  for (int k = 0; k < k_end; ++k) {
    Vec<T> row[NV];
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) row[v] = load<T>(b + k * ldb + v * W);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const T x = a[r * row_stride + k * k_stride];
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) sums[r][v] += x * row[v];
    }
  }
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < NV; ++v) store<T>(c + r * ldc + v * W, sums[r][v]);
}

template <class T, int NV>
static void columns(int n, int k, const T *a, long row_stride, long k_stride, const T *b, long ldb,
                    T *c, long ldc, const T *bias, bool add) {
  constexpr int R = 6;
  int r = 0;
  for (; r + R <= n; r += R)
    tile<T, R, NV>(k, a + r * row_stride, row_stride, k_stride, b, ldb, c + r * ldc, ldc, bias,
                   add);
  a += r * row_stride;
  c += r * ldc;
  switch (n - r) {
    case 5: tile<T, 5, NV>(k, a, row_stride, k_stride, b, ldb, c, ldc, bias, add); break;
    case 4: tile<T, 4, NV>(k, a, row_stride, k_stride, b, ldb, c, ldc, bias, add); break;
    case 3: tile<T, 3, NV>(k, a, row_stride, k_stride, b, ldb, c, ldc, bias, add); break;
    case 2: tile<T, 2, NV>(k, a, row_stride, k_stride, b, ldb, c, ldc, bias, add); break;
    case 1: tile<T, 1, NV>(k, a, row_stride, k_stride, b, ldb, c, ldc, bias, add); break;
    default: break;
  }
}

// C (n x m) = [C when add, else bias or 0] + A (n x k, any strides) B (k x m). m: a multiple of the
// vector's width.
template <class T>
static void gemm(int n, int k, int m, const T *a, long row_stride, long k_stride, const T *b,
                 long ldb, T *c, long ldc, const T *bias, bool add) {
  constexpr int W = WIDTH<T>, NV = DISTILL_TILE;
  int j = 0;
  for (; j + NV * W <= m; j += NV * W)
    columns<T, NV>(n, k, a, row_stride, k_stride, b + j, ldb, c + j, ldc, bias ? bias + j : bias,
                   add);
  for (; j + 2 * W <= m; j += 2 * W)
    columns<T, 2>(n, k, a, row_stride, k_stride, b + j, ldb, c + j, ldc, bias ? bias + j : bias,
                  add);
  for (; j < m; j += W)
    columns<T, 1>(n, k, a, row_stride, k_stride, b + j, ldb, c + j, ldc, bias ? bias + j : bias,
                  add);
}

// C (n x m) = A (n x k, rows of lda) B (k x m, dense) + bias
template <class T>
DISTILL_INLINE void dense(int n, int k, int m, const T *a, long lda, const T *b, const T *bias,
                          T *c, long ldc) {
  gemm<T>(n, k, m, a, lda, 1, b, m, c, ldc, bias, false);
}

// G (out x in) += Y^T X over n rows; and the sum of Y's rows to the bias' gradient
template <class T>
DISTILL_INLINE void outer(int n, int out, int in, const T *y, long ldy, const T *x, long ldx, T *g,
                          T *bias) {
  gemm<T>(out, n, in, y, 1, ldy, x, ldx, g, in, nullptr, true);
  if (bias)
    for (int r = 0; r < n; ++r)
      for (int o = 0; o < out; o += WIDTH<T>) add_to<T>(bias + o, load<T>(y + r * ldy + o));
}
