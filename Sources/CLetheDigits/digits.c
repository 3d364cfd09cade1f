#include "lethe_digits.h"

// #embed is C23; clang has it in C17 as an extension.
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wc23-extensions"
static const unsigned char bytes[] = {
#embed "digits.bin"
};
#pragma clang diagnostic pop

const unsigned char *lethe_digits_bytes(void) { return bytes; }

size_t lethe_digits_size(void) { return sizeof bytes; }
