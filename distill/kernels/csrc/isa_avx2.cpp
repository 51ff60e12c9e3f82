#define DISTILL_NAME avx2
#define DISTILL_BYTES 32
#define DISTILL_TILE 2
#define DISTILL_UNUSED __attribute__((unused))
#include "isa.h"
