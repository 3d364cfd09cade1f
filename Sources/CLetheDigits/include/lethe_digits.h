#ifndef LETHE_DIGITS_H
#define LETHE_DIGITS_H

#include <stddef.h>

#pragma clang assume_nonnull begin

/// The bytes of one row: 8 x 8 pixels of 0 to 16, row by row, then the digit.
enum { lethe_digits_row = 65 };

/// The rows one after another; the pointer is good for the life of the process.
/// Functions, since Swift imports neither arrays of unknown size nor global pointers as safe values.
const unsigned char *lethe_digits_bytes(void);

/// How many bytes there are: rows x lethe_digits_row.
size_t lethe_digits_size(void);

#pragma clang assume_nonnull end

#endif
