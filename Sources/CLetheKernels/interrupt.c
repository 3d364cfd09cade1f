// Ctrl-C as a question: the first asks the program to finish, the second ends it.
#include <signal.h>

#include "lethe_kernels.h"

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number) {
  interrupted = signal_number;
  // Whichever of the two comes next ends the process.
  signal(SIGINT, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
}

void lethe_catch_interrupt(void) {
  signal(SIGINT, on_interrupt);
  signal(SIGTERM, on_interrupt);
}

int32_t lethe_interrupted(void) { return interrupted; }
