#define DISTILL_NAME baseline
#define DISTILL_BYTES 16
#define DISTILL_TILE 2
#define DISTILL_UNUSED __attribute__((unused))
#include "isa.h"
