#define DISTILL_NAME avx512
#define DISTILL_BYTES 64
#define DISTILL_TILE 4
#define DISTILL_UNUSED __attribute__((unused))
#include "isa.h"
