// What check.c counts and main.c prints.
#ifndef LETHE_TESTS_REPORT_H
#define LETHE_TESTS_REPORT_H

#include <stdbool.h>
#include <stdint.h>

typedef struct report {
  long long passed, failed;
  uint64_t digest;
} report;

extern report totals;

// Before a group on one instruction set; `empty` where it is the oracle that writes.
void log_rewind(bool empty);
bool log_is_at_end(void);

#endif
