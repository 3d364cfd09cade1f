// Optimizer steps against the papers' formulas in double, several steps in a row.
#include <math.h>

#include "check.h"

static void adam_case(int64_t n, double decay, double decoupled) {
  label("adam of %lld, decay %g, decoupled %g", (long long)n, decay, decoupled);
  float *p = copy_of(input(n), n), *m = output(n), *v = output(n), *g = input(n);
  double *dp = doubles(n), *dm = doubles(n), *dv = doubles(n);
  for (int64_t i = 0; i < n; i++) { m[i] = v[i] = 0; dp[i] = (double)p[i]; }
  lethe_adam a = {.rate = 0.01f, .beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-3f, .decay = (float)decay,
                  .decoupled_decay = (float)decoupled};
  double b1 = (double)a.beta1, b2 = (double)a.beta2, power1 = 1, power2 = 1;
  for (int step = 1; step <= 4; step++) {
    fill(g, n, 0.5f);
    // The caller gives 1 - beta1^t and sqrt(1 - beta2^t). (No pow: what kernels are fed must not come from libm.)
    power1 *= b1;
    power2 *= b2;
    a.correction1 = (float)(1 - power1);
    a.correction2 = sqrtf((float)(1 - power2));
    kernels->adam(p, m, v, g, &a, n);
    for (int64_t i = 0; i < n; i++) {
      double d = (double)g[i] + (double)a.decay * dp[i];
      dp[i] *= 1 - (double)a.rate * (double)a.decoupled_decay;
      dm[i] = b1 * dm[i] + (1 - b1) * d;
      dv[i] = b2 * dv[i] + (1 - b2) * d * d;
      dp[i] -= (double)a.rate * (dm[i] / (1 - power1)) / (sqrt(dv[i] / (1 - power2)) + (double)a.epsilon);
    }
    near("parameters", p, dp, 3e-6, n);
    near("first moments", m, dm, 1e-6, n);
    near("second moments", v, dv, 1e-6, n);
    same("parameters", p, n);
    same("first moments", m, n);
    same("second moments", v, n);
  }
  release();
}

static void descent_case(int64_t n, double momentum, bool nesterov, double decay, bool squares) {
  label("descent of %lld, momentum %g nesterov %d decay %g squares %d", (long long)n, momentum, nesterov, decay,
        squares);
  float *p = copy_of(input(n), n), *g = input(n);
  float *u = momentum != 0 ? output(n) : NULL, *s = squares ? output(n) : NULL;
  double *dp = doubles(n), *du = doubles(n), *ds = doubles(n);
  for (int64_t i = 0; i < n; i++) {
    if (s) s[i] = 0;
    if (u) u[i] = 0;
    dp[i] = (double)p[i];
  }
  lethe_descent o = {.rate = 0.05f, .momentum = (float)momentum, .decay = (float)decay, .smoothing = 0.9f,
                     .epsilon = 1e-2f, .nesterov = nesterov};
  for (int step = 0; step < 4; step++) {
    fill(g, n, 0.5f);
    kernels->descent(p, u, s, g, &o, n);
    for (int64_t i = 0; i < n; i++) {
      double d = (double)g[i] + (double)o.decay * dp[i], mu = (double)o.momentum;
      if (squares) {
        ds[i] = (double)o.smoothing * ds[i] + (1 - (double)o.smoothing) * d * d;
        d /= sqrt(ds[i]) + (double)o.epsilon;
      }
      if (momentum != 0) {
        du[i] = step == 0 ? d : mu * du[i] + d;
        d = nesterov ? d + mu * du[i] : du[i];
      }
      dp[i] -= (double)o.rate * d;
    }
    near("parameters", p, dp, 4e-6, n);
    same("parameters", p, n);
    if (u) { near("velocity", u, du, 1e-5, n); same("velocity", u, n); }
    if (s) { near("squares", s, ds, 1e-5, n); same("squares", s, n); }
  }
  release();
}

void test_optimizers(void) {
  static const int64_t ns[] = {0, 1, 15, 16, 17, 65, 1000};
  seed(61);
  for (int i = 0; i < 7; i++) {
    adam_case(ns[i], 0, 0);
    adam_case(ns[i], 0.1, 0);
    adam_case(ns[i], 0, 0.1);
    for (int kind = 0; kind < 12; kind++)
      descent_case(ns[i], kind % 3 ? 0.8 : 0, kind % 3 == 2, kind / 3 % 2 ? 0.1 : 0, kind >= 6);
  }
}
