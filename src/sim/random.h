/* Random numbers of the simulator: cheap, and the same again for one seed. */
#pragma once

#include <stddef.h>
#include <stdint.h>

void random_seed(uint64_t seed); /* 0: one that differs each time */
uint64_t random_next(void);
uint64_t random_below(uint64_t limit);
/* `len` octets of base64url's alphabet and a NUL. */
void random_text(char *out, size_t len);
/* `len` upper-case hexadecimal digits and a NUL. */
void random_hex(char *out, size_t len);
