// Matrix memories against the equations in doubles, their gradients against differences of these; cut into tasks and
// into steps in several ways.
#include <math.h>
#include <string.h>

#include "check.h"

typedef struct {
  lethe_memory m;
  int64_t batch, gates, tasks;
} memory_case;

// ---- the equations, one task, one step, one number at a time ----

// What a task is run with. The one number that `at` points to is moved by `by`.
typedef struct {
  const memory_case *c;
  const float *at;
  double by;
} moved;

static double number(const moved *v, const float *p, int64_t i) {
  return p ? (double)p[i] + (v->at == p + i ? v->by : 0) : 0;
}
static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double log_sigmoid(double x) { return fmin(x, 0) - log1p(exp(-fabs(x))); }

// Writes outputs [time][value] and the final state where wanted; returns the sum of all these times what the case holds
// as their gradients.
static double equations(const moved *v, int64_t task, double *out, double *s_out, double *n_out, double *m_out) {
  enum { MOST = 128 };
  static double S[MOST][MOST], n[MOST];
  const lethe_memory *m = &v->c->m;
  int64_t b = task / m->heads, head = task % m->heads, key = m->key, value = m->value;
  double top = number(v, m->m0, task), total = 0, root = 1 / sqrt((double)key);
  for (int64_t j = 0; j < key; j++) {
    n[j] = number(v, m->n0, task * key + j);
    for (int64_t c = 0; c < value; c++) S[j][c] = number(v, m->s0, (task * key + j) * value + c);
  }
  for (int64_t t = 0; t < (m->lengths ? m->lengths[b] : m->time); t++) {
    int64_t row = b * m->time + t, at = (row * m->heads + head) * key;
    double q[MOST], k[MOST], a[MOST], strength = 1, divisor = 1;
    if (m->resets && m->resets[row]) { memset(S, 0, sizeof S); memset(n, 0, sizeof n); top = 0; }
    for (int64_t j = 0; j < key; j++) {
      q[j] = number(v, m->q, at + j);
      k[j] = m->k ? number(v, m->k, at + j) : 0;
    }
    double first = m->rule == LETHE_MEMORY_MLSTM || m->rule == LETHE_MEMORY_DELTA
                       ? number(v, m->gate, row * m->heads * 2 + head) : 0;
    double second = m->rule == LETHE_MEMORY_MLSTM || m->rule == LETHE_MEMORY_DELTA
                        ? number(v, m->gate, (row * 2 + 1) * m->heads + head) : 0;
    switch (m->rule) {
      case LETHE_MEMORY_MLSTM: {
        bool empty = true;
        for (int64_t j = 0; j < key; j++) empty = empty && n[j] == 0;
        double kept = log_sigmoid(first) + top, weight = 0;
        top = empty || second > kept ? second : kept;
        strength = exp(second - top);
        for (int64_t j = 0; j < key; j++) {
          k[j] *= root;
          a[j] = exp(fmin(kept - top, 80));
          n[j] = a[j] * n[j] + strength * k[j];
          weight += n[j] * q[j];
        }
        divisor = fmax(fabs(weight), exp(-top)) + 1e-6;
        break;
      }
      case LETHE_MEMORY_GLA:
        for (int64_t j = 0; j < key; j++) {
          q[j] *= root;
          a[j] = exp(log_sigmoid(number(v, m->gate, at + j)) / 16);
        }
        break;
      case LETHE_MEMORY_HGRN2:
        for (int64_t j = 0; j < key; j++) {
          double f = sigmoid(number(v, m->gate, at + j)), low = (double)m->option;
          q[j] *= sigmoid(q[j]);
          a[j] = low + (1 - low) * f;
          k[j] = 1 - a[j];
        }
        break;
      case LETHE_MEMORY_DELTA: {
        double qq = 1e-6, kk = 1e-6;
        for (int64_t j = 0; j < key; j++) { qq += q[j] * q[j]; kk += k[j] * k[j]; }
        for (int64_t j = 0; j < key; j++) {
          q[j] *= root / sqrt(qq);
          k[j] /= sqrt(kk);
          a[j] = exp(exp(number(v, m->rate, head)) * log_sigmoid(-first));
        }
        strength = (double)m->option * sigmoid(second);
      }
    }
    for (int64_t c = 0; c < value; c++) {
      double e = number(v, m->v, (row * m->heads + head) * value + c), o = 0;
      for (int64_t j = 0; j < key; j++) S[j][c] *= a[j];
      if (m->rule == LETHE_MEMORY_DELTA)
        for (int64_t j = 0; j < key; j++) e -= S[j][c] * k[j];
      for (int64_t j = 0; j < key; j++) o += (S[j][c] += k[j] * strength * e) * q[j];
      o /= divisor;
      if (out) out[t * value + c] = o;
      total += o * (double)m->dout[(row * m->heads + head) * value + c];
    }
  }
  for (int64_t j = 0; j < key; j++) {
    if (n_out) n_out[j] = n[j];
    if (m->dn) total += n[j] * (double)m->dn[task * key + j];
    for (int64_t c = 0; c < value; c++) {
      if (s_out) s_out[j * value + c] = S[j][c];
      total += S[j][c] * (double)m->ds[(task * key + j) * value + c];
    }
  }
  if (m_out) *m_out = top;
  return total + (m->dm ? top * (double)m->dm[task] : 0);
}

// ---- cases ----

static float *scaled(int64_t n, float scale) {
  float *p = input(n);
  for (int64_t i = 0; i < n; i++) p[i] *= scale;
  return p;
}

static memory_case make(lethe_memory_rule rule, int64_t batch, int64_t time, int64_t heads, int64_t key, int64_t value,
                        bool ragged) {
  bool mlstm = rule == LETHE_MEMORY_MLSTM, per_key = rule == LETHE_MEMORY_GLA || rule == LETHE_MEMORY_HGRN2;
  int64_t rows = batch * time, tasks = batch * heads, gates = per_key ? heads * key : 2 * heads;
  lethe_memory m = {.rule = rule, .time = time, .heads = heads, .key = key, .value = value};
  m.option = rule == LETHE_MEMORY_HGRN2 ? 0.2f : rule == LETHE_MEMORY_DELTA ? 2 : 0;
  m.q = input(rows * heads * key);
  if (rule != LETHE_MEMORY_HGRN2) m.k = input(rows * heads * key);
  m.v = input(rows * heads * value);
  m.gate = scaled(rows * gates, 2);
  if (rule == LETHE_MEMORY_DELTA) m.rate = input(heads);
  m.s0 = input(tasks * key * value);
  m.dout = input(rows * heads * value);
  m.ds = input(tasks * key * value);
  if (mlstm) { m.n0 = input(tasks * key); m.m0 = input(tasks); m.dn = input(tasks * key); m.dm = input(tasks); }
  if (ragged) {
    int64_t *lengths = bytes((size_t)batch * sizeof *lengths);
    uint8_t *resets = bytes((size_t)rows);
    for (int64_t b = 0; b < batch; b++) lengths[b] = b == 0 ? time : b == 1 ? 0 : 1 + next_below(time);
    for (int64_t i = 0; i < rows; i++) resets[i] = next_below(9) == 0;
    m.lengths = lengths;
    m.resets = resets;
  }
  m.out = output(rows * heads * value);
  m.s = output(tasks * key * value);
  if (mlstm) { m.n = output(tasks * key); m.m = output(tasks); m.dn0 = output(tasks * key); m.dm0 = output(tasks); }
  m.dq = output(rows * heads * key);
  if (m.k) m.dk = output(rows * heads * key);
  m.dv = output(rows * heads * value);
  m.dgate = output(rows * gates);
  if (m.rate) m.drate = output(tasks);
  m.ds0 = output(tasks * key * value);
  return (memory_case){m, batch, gates, tasks};
}

// Tasks [first, last), forward and, with `saved`, back.
static void run(const lethe_memory *m, int64_t first, int64_t last, bool back) {
  float *scratch = output(kernels->memory_scratch(m, false)), *more = output(kernels->memory_scratch(m, true));
  kernels->memory_forward(m, first, last, scratch);
  if (back) kernels->memory_backward(m, first, last, more);
}

static void against_equations(const memory_case *c) {
  const lethe_memory *m = &c->m;
  int64_t key = m->key, value = m->value, matrix = key * value;
  double *out = doubles(m->time * value), *s = doubles(matrix), *n = doubles(key), top = 0;
  for (int64_t task = 0; task < c->tasks; task++) {
    int64_t b = task / m->heads, head = task % m->heads, length = m->lengths ? m->lengths[b] : m->time;
    moved v = {c, NULL, 0};
    memset(out, 0, (size_t)(m->time * value) * sizeof(double));
    equations(&v, task, out, s, n, &top);
    for (int64_t t = 0; t < m->time; t++)
      near(t < length ? "out" : "out past the length", m->out + ((b * m->time + t) * m->heads + head) * value,
           out + t * value, 2e-5, value);
    near("s", m->s + task * matrix, s, 2e-5, matrix);
    if (m->n) near("n", m->n + task * key, n, 2e-5, key);
    if (m->m) near("m", m->m + task, &top, 2e-5, 1);
  }
}

// A few numbers of one tensor, each of `width` numbers a task (and, with `steps`, a step).
static void slopes(const memory_case *c, const char *what, const float *x, const float *got, int64_t width, bool steps) {
  const lethe_memory *m = &c->m;
  if (!x) return;
  int64_t all = c->tasks * width * (steps ? m->time : 1);
  for (int64_t i = 0; i < all; i += 1 + all / 11) {
    int64_t task = i / width;
    // Two gates a head lie side by side in one row.
    if (steps && width == 2) task = i / (2 * m->heads) * m->heads + i % m->heads;
    if (steps) task = task / m->heads / m->time * m->heads + task % m->heads;
    double step = 1e-6;
    moved up = {c, x + i, step}, down = {c, x + i, -step};
    double slope = (equations(&up, task, NULL, NULL, NULL, NULL) - equations(&down, task, NULL, NULL, NULL, NULL)) / (2 * step);
    near(what, got + i, &slope, 2e-4, 1);
  }
}

static void against_differences(const memory_case *c) {
  const lethe_memory *m = &c->m;
  slopes(c, "dq", m->q, m->dq, m->key, true);
  slopes(c, "dk", m->k, m->dk, m->key, true);
  slopes(c, "dv", m->v, m->dv, m->value, true);
  slopes(c, "dgate", m->gate, m->dgate, c->gates / m->heads, true);
  slopes(c, "ds0", m->s0, m->ds0, m->key * m->value, false);
  slopes(c, "dn0", m->n0, m->dn0, m->key, false);
  slopes(c, "dm0", m->m0, m->dm0, 1, false);
  for (int64_t task = 0; m->rate && task < c->tasks; task++) {
    const float *rate = m->rate + task % m->heads;
    moved up = {c, rate, 1e-6}, down = {c, rate, -1e-6};
    double slope = (equations(&up, task, NULL, NULL, NULL, NULL) - equations(&down, task, NULL, NULL, NULL, NULL)) / 2e-6;
    near("drate", m->drate + task, &slope, 2e-4, 1);
  }
}

// Every result of a case, to the log or against those of the same case run otherwise.
static void results(const memory_case *c, const lethe_memory *other) {
  const lethe_memory *m = &c->m;
  int64_t rows = c->batch * m->time * m->heads, matrix = m->key * m->value;
  struct { const char *what; const float *own, *theirs; int64_t n; } all[] = {
      {"out", m->out, other ? other->out : NULL, rows * m->value},
      {"s", m->s, other ? other->s : NULL, c->tasks * matrix},
      {"n", m->n, other ? other->n : NULL, c->tasks * m->key},
      {"m", m->m, other ? other->m : NULL, c->tasks},
      {"dq", m->dq, other ? other->dq : NULL, rows * m->key},
      {"dk", m->dk, other ? other->dk : NULL, rows * m->key},
      {"dv", m->dv, other ? other->dv : NULL, rows * m->value},
      {"dgate", m->dgate, other ? other->dgate : NULL, c->batch * m->time * c->gates},
      {"drate", m->drate, other ? other->drate : NULL, c->tasks},
      {"ds0", m->ds0, other ? other->ds0 : NULL, c->tasks * matrix},
      {"dn0", m->dn0, other ? other->dn0 : NULL, c->tasks * m->key},
      {"dm0", m->dm0, other ? other->dm0 : NULL, c->tasks},
  };
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    if (!all[i].own) continue;
    if (other) equal_bits(all[i].what, all[i].theirs, all[i].own, all[i].n);
    else same(all[i].what, all[i].own, all[i].n);
  }
}

static void whole_case(lethe_memory_rule rule, int64_t batch, int64_t time, int64_t heads, int64_t key, int64_t value,
                       bool ragged) {
  label("matrix memory, rule %d, batch %lld, time %lld, heads %lld, key %lld, value %lld%s", (int)rule,
        (long long)batch, (long long)time, (long long)heads, (long long)key, (long long)value,
        ragged ? ", ragged" : "");
  memory_case c = make(rule, batch, time, heads, key, value, ragged);
  c.m.saved = output(c.tasks * kernels->memory_saved(&c.m));
  run(&c.m, 0, c.tasks, true);
  results(&c, NULL);
  if (is_oracle) {
    against_equations(&c);
    against_differences(&c);
  }
  // Tasks in another order, and no state or gradient of a state instead of zeros.
  lethe_memory zeros = c.m;
  float *s0 = bytes((size_t)(c.tasks * key * value) * sizeof(float)), *n0 = bytes((size_t)(c.tasks * key) * sizeof(float));
  float *m0 = bytes((size_t)c.tasks * sizeof(float));
  zeros.s0 = zeros.ds = s0;
  if (zeros.n0) { zeros.n0 = zeros.dn = n0; zeros.m0 = zeros.dm = m0; }
  run(&zeros, 0, c.tasks, true);
  memory_case apart = make(rule, batch, time, heads, key, value, false);
  lethe_memory none = zeros, to = apart.m;
  none.s0 = none.n0 = none.m0 = none.ds = none.dn = none.dm = NULL;
  none.out = to.out; none.s = to.s; none.n = to.n; none.m = to.m;
  none.dq = to.dq; none.dk = to.dk; none.dv = to.dv; none.dgate = to.dgate; none.drate = to.drate;
  none.ds0 = to.ds0; none.dn0 = to.dn0; none.dm0 = to.dm0;
  int64_t cut = next_below(c.tasks + 1);
  run(&none, cut, c.tasks, true);
  run(&none, 0, cut, true);
  results(&c, &none);
  release();
}

// One row of the batch in two calls, the state handed on, with nothing saved.
static void cut_case(lethe_memory_rule rule, int64_t time, int64_t heads, int64_t key, int64_t value) {
  label("matrix memory in two, rule %d, time %lld, heads %lld, key %lld, value %lld", (int)rule, (long long)time,
        (long long)heads, (long long)key, (long long)value);
  memory_case c = make(rule, 1, time, heads, key, value, false);
  run(&c.m, 0, heads, false);
  for (int64_t cut = 1; cut < time; cut += 1 + time / 5) {
    lethe_memory a = c.m, b = c.m;
    a.time = cut;
    b.time = time - cut;
    a.out = b.out = output(time * heads * value);
    a.s = output(heads * key * value);
    b.s = output(heads * key * value);
    if (a.n) { a.n = output(heads * key); a.m = output(heads); b.n = output(heads * key); b.m = output(heads); }
    b.q += cut * heads * key;
    if (b.k) b.k += cut * heads * key;
    b.v += cut * heads * value;
    b.gate += cut * c.gates;
    b.out += cut * heads * value;
    b.s0 = a.s; b.n0 = a.n; b.m0 = a.m;
    run(&a, 0, heads, false);
    run(&b, 0, heads, false);
    equal_bits("out", a.out, c.m.out, time * heads * value);
    equal_bits("s", b.s, c.m.s, heads * key * value);
    if (b.n) { equal_bits("n", b.n, c.m.n, heads * key); equal_bits("m", b.m, c.m.m, heads); }
  }
  release();
}

void test_matrix_memory(void) {
  seed(51);
  for (int i = 0; i <= LETHE_MEMORY_DELTA; i++) {
    lethe_memory_rule rule = (lethe_memory_rule)i;
    whole_case(rule, 1, 1, 1, 1, 1, false);
    whole_case(rule, 3, 7, 2, 5, 19, true);
    whole_case(rule, 2, 35, 1, 17, 3, false);
    cut_case(rule, 37, 2, 5, 19);
    if (is_small) continue;
    whole_case(rule, 3, 70, 3, 16, 64, true);
    whole_case(rule, 2, 33, 2, 32, 83, false);
    whole_case(rule, 4, 64, 1, 31, 128, true);
    cut_case(rule, 70, 1, 21, 64);
  }
}
