// The matrix product in every layout the package uses, against one plain chain of fused multiply-adds for each sum and
// against doubles; whole, and cut into rows and panels in several ways.
#include <math.h>
#include <string.h>

#include "check.h"

// ---- the left operand: the same matrix [rows][k], laid out in several ways ----

typedef enum { ROW_MAJOR, TRANSPOSED, BLOCKS, ROW_GROUPS, LEFT_KINDS } left_kind;

static lethe_operand lay_left(left_kind kind, const float *matrix, int64_t rows, int64_t k) {
  lethe_operand o = {.k_width = k, .k_blocks = 1, .k_last = k, .a_k = 1};
  int64_t size = kind == ROW_MAJOR    ? (rows - 1) * (k + 2) + k
                 : kind == TRANSPOSED ? rows * k
                 : kind == BLOCKS     ? blocks_of(k) * 16 * rows
                                      : (rows + 15) / 16 * 16 * (k + 2) - 32;
  float *a = input(size);
  switch (kind) {
    case ROW_MAJOR: o.a_row = k + 2; break;
    case TRANSPOSED: o.a_row = 1; o.a_k = rows; break;
    case BLOCKS:
      o.a_row = 16; o.a_block = rows * 16;
      o.k_width = 16; o.k_blocks = blocks_of(k); o.k_last = k - 16 * (o.k_blocks - 1);
      break;
    default: o.row_width = 16; o.a_row = 1; o.a_k = 16; o.row_block = 16 * (k + 2);
  }
  for (int64_t r = 0; r < rows; r++)
    for (int64_t i = 0; i < k; i++) {
      int64_t at = kind == ROW_MAJOR      ? r * (k + 2) + i
                   : kind == TRANSPOSED   ? i * rows + r
                   : kind == BLOCKS       ? i / 16 * rows * 16 + r * 16 + i % 16
                                          : r / 16 * 16 * (k + 2) + i * 16 + r % 16;
      a[at] = matrix[r * k + i];
    }
  o.a = a;
  return o;
}

// ---- the right operand ----

// Packed in panels of 1 to 4 blocks, or read in place: (0) from rows wider than the matrix, (5) block by block, with a gap
// between blocks. `columns` is a multiple of 16 for these.
static lethe_panels lay_right(int64_t panel, const float *matrix, int64_t k, int64_t columns) {
  int64_t blocks = blocks_of(columns);
  if (panel == 0) {
    int64_t width = columns + 5;
    float *w = input(k == 0 ? 0 : (k - 1) * width + columns);
    for (int64_t i = 0; i < k; i++) memcpy(w + i * width, matrix + i * columns, (size_t)columns * sizeof(float));
    return (lethe_panels){.w = w, .columns = columns, .panel = 4, .w_panel = 64, .w_k = width};
  }
  if (panel == 5) {
    int64_t apart = (k + 2) * 16;
    float *w = input(blocks * apart);
    for (int64_t i = 0; i < k; i++)
      for (int64_t c = 0; c < columns; c++) w[c / 16 * apart + i * 16 + c % 16] = matrix[i * columns + c];
    return (lethe_panels){.w = w, .columns = columns, .panel = 4, .w_panel = 4 * apart, .w_k = 16, .w_vec = apart};
  }
  float *w = output(blocks * 16 * k);
  kernels->pack(w, matrix, columns, 1, k, columns, panel, 0, (blocks + panel - 1) / panel);
  return (lethe_panels){.w = w, .columns = columns, .panel = panel, .w_panel = panel * 16 * k};
}

// ---- initial values and results ----

typedef enum { DENSE, DENSE_WIDE, BY_BLOCK, BY_PANEL, OUT_KINDS } out_kind;
typedef enum { NO_INITIAL, BIAS, APART, ACCUMULATED, INITIAL_KINDS } initial_kind;

// Where column c of row r lies, by strides of rows and groups of blocks.
static int64_t place(const lethe_product *p, ptrdiff_t row, ptrdiff_t group, int64_t r, int64_t c) {
  return r * row + c / 16 / p->group * group + c / 16 % p->group * 16 + c % 16;
}
// The same for the result.
static int64_t result_place(const lethe_product *p, int64_t r, int64_t c) {
  if (!p->out_row_block) return place(p, p->out_row, p->out_group, r, c);
  return r / 16 * p->out_row_block + place(p, p->out_row, p->out_group, r % 16, c);
}

// The floats of a result. Rows that come in groups go out in groups, three rows apart.
static int64_t lay_out(lethe_product *p, out_kind kind, int64_t rows) {
  int64_t columns = p->right.columns, blocks = blocks_of(columns), panel = p->right.panel;
  int64_t gaps = p->left.row_width ? (rows - 1) / 16 * 3 : 0;
  p->dense = kind == DENSE || kind == DENSE_WIDE;
  p->group = kind == BY_PANEL ? panel : 1;
  if (p->dense) {
    p->out_row = kind == DENSE ? columns : columns + 7;
    p->out_group = 16;
    if (gaps) p->out_row_block = 19 * p->out_row;
    return (rows + gaps - 1) * p->out_row + columns;
  }
  p->out_row = p->group * 16;
  p->out_group = p->group * 16 * (rows + gaps);
  if (gaps) p->out_row_block = 19 * p->out_row;
  return (blocks + p->group - 1) / p->group * p->out_group;
}

// What the product must give, once as a chain of fused multiply-adds in floats, once in doubles with the rounding
// error that such a chain can have at most.
static void expect(const float *left, const float *right, int64_t rows, int64_t k, int64_t columns,
                   const float *initial, float *chain, double *exact, double *bound) {
  for (int64_t r = 0; r < rows; r++)
    for (int64_t c = 0; c < columns; c++) {
      float s = initial[r * columns + c];
      double d = (double)s, size = fabs(d);
      for (int64_t i = 0; i < k; i++) {
        s = fmaf(left[r * k + i], right[i * columns + c], s);
        double term = (double)left[r * k + i] * (double)right[i * columns + c];
        d += term;
        size += fabs(term);
      }
      chain[r * columns + c] = s;
      exact[r * columns + c] = d;
      bound[r * columns + c] = (double)(k + 1) * 0x1p-24 * size + 1e-30;
    }
}

static void case_of(int64_t rows, int64_t k, int64_t columns, left_kind left, int64_t panel, out_kind out,
                    initial_kind initial) {
  label("rows %lld k %lld columns %lld left %d panel %lld out %d initial %d", (long long)rows, (long long)k,
        (long long)columns, left, (long long)panel, out, initial);
  if (panel == 0 || panel == 5) columns = blocks_of(columns) * 16;
  // Panels that are groups of the result must be whole.
  int64_t group = panel && panel < 5 ? panel : 4;
  if (out == BY_PANEL) columns += (group - blocks_of(columns) % group) % group * 16;
  float *a = input(rows * k), *b = input(k * columns), *start = input(rows * columns);
  for (int64_t i = 0; i < rows * columns; i++)
    start[i] = initial == NO_INITIAL ? 0 : initial == BIAS ? start[i % columns] : start[i];
  float *chain = input(rows * columns);
  double *exact = doubles(rows * columns), *bound = doubles(rows * columns);
  expect(a, b, rows, k, columns, start, chain, exact, bound);

  lethe_product p = {.left = lay_left(left, a, rows, k), .right = lay_right(panel, b, k, columns)};
  int64_t size = lay_out(&p, out, rows), panels = (blocks_of(columns) + p.right.panel - 1) / p.right.panel;
  bool whole_blocks = !p.dense;
  float *from = NULL, *results[3];
  if (initial == APART || initial == BIAS) {
    // With strides of its own: rows of whole blocks, two floats apart.
    ptrdiff_t group = p.group * 16 + 2, row = (blocks_of(columns) + p.group - 1) / p.group * group;
    from = input(row * rows);
    p.initial_row = initial == BIAS ? 0 : row;
    p.initial_group = group;
    for (int64_t r = 0; r < rows; r++)
      for (int64_t c = 0; c < blocks_of(columns) * 16; c++)
        from[place(&p, p.initial_row, group, r, c)] = c < columns ? start[r * columns + c] : 0;
  }
  for (int way = 0; way < 3; way++) {
    float *y = results[way] = output(size);
    p.initial = from;
    p.out = y;
    // What is asked for meanwhile changes nothing.
    if (way == 1) p.fetch = (lethe_fetch){.at = b, .apart = columns, .floats = columns, .blocks = k};
    if (initial == NO_INITIAL) {  // strides without numbers mean nothing
      p.initial_row = p.out_row;
      p.initial_group = p.out_group;
    }
    if (initial == ACCUMULATED) {
      p.adds = true;
      for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < (whole_blocks ? blocks_of(columns) * 16 : columns); c++)
          y[result_place(&p, r, c)] = c < columns ? start[r * columns + c] : 0;
    }
    if (way == 0) {
      kernels->product(&p, 0, rows, 0, panels);
    } else if (way == 1) {  // one row at a time, last first
      for (int64_t r = rows - 1; r >= 0; r--) kernels->product(&p, r, r + 1, 0, panels);
    } else {  // panels one at a time, rows in two parts
      int64_t middle = next_below(rows + 1);
      for (int64_t n = 0; n < panels; n++) {
        kernels->product(&p, middle, rows, n, n + 1);
        kernels->product(&p, 0, middle, n, n + 1);
      }
    }
  }
  equal_bits("row by row", results[1], results[0], size);
  equal_bits("panel by panel", results[2], results[0], size);
  same("result", results[0], size);
  if (!is_oracle) { release(); return; }
  if (p.dense && p.out_row_block)
    for (int64_t r = 16; r < rows; r += 16)
      check(is_unwritten(results[0] + result_place(&p, r, 0) - 3 * p.out_row, 3 * p.out_row), "wrote between groups");

  float *dense = output(rows * columns);
  bool in_bounds = true;
  for (int64_t r = 0; r < rows; r++) {
    for (int64_t c = 0; c < columns; c++) {
      float y = results[0][result_place(&p, r, c)];
      dense[r * columns + c] = y;
      in_bounds &= fabs((double)y - exact[r * columns + c]) <= bound[r * columns + c];
    }
    if (out == DENSE_WIDE && r + 1 < rows)
      check(is_unwritten(results[0] + result_place(&p, r, 0) + columns, 7), "wrote past the last column of row %lld",
            (long long)r);
    if (whole_blocks)
      for (int64_t c = columns; c < blocks_of(columns) * 16; c++)
        in_bounds &= results[0][result_place(&p, r, c)] == 0;
  }
  equal_bits("chain of fused multiply-adds", dense, chain, rows * columns);
  check(in_bounds, "further from the double product than rounding explains");
  release();
}

// Results of later rows may be handed out with a row 0 that lies outside their memory, where the bias happens to be.
static void bias_where_row_0_would_be(void) {
  label("the bias lies where row 0 of the result would");
  enum { ROWS = 5, K = 3, COLUMNS = 16 };
  float *a = input(ROWS * K), *b = input(K * COLUMNS), *y = output(ROWS * COLUMNS), *want = input(ROWS * COLUMNS);
  for (int64_t c = 0; c < COLUMNS; c++) y[c] = b[c] + 1;
  lethe_product p = {.left = lay_left(ROW_MAJOR, a, ROWS, K), .right = lay_right(4, b, K, COLUMNS), .initial = y,
                     .initial_group = 16, .out = y, .out_row = COLUMNS, .out_group = 16, .group = 1};
  kernels->product(&p, 1, ROWS, 0, 1);
  for (int64_t r = 0; r < ROWS; r++)
    for (int64_t c = 0; c < COLUMNS; c++) {
      float s = b[c] + 1;
      for (int64_t k = 0; k < K && r > 0; k++) s = fmaf(a[r * K + k], b[k * COLUMNS + c], s);
      want[r * COLUMNS + c] = s;
    }
  equal_bits("rows after the first", y, want, ROWS * COLUMNS);
  release();
}

// ---- convolutions: windows of an image, read in place ----

static void convolution(int64_t height, int64_t width, int64_t channels, int64_t kh, int64_t kw, int64_t stride,
                        int64_t filters) {
  label("convolution %lldx%lldx%lld kernel %lldx%lld stride %lld filters %lld", (long long)height, (long long)width,
        (long long)channels, (long long)kh, (long long)kw, (long long)stride, (long long)filters);
  int64_t oh = (height - kh) / stride + 1, ow = (width - kw) / stride + 1, depth = kh * kw * channels;
  float *x = input(height * width * channels), *w = input(depth * filters), *bias = input(blocks_of(filters) * 16);
  float *y = output(oh * ow * filters), *want = input(oh * ow * filters);
  lethe_operand windows = {.a = x, .row_width = ow, .row_block = stride * width * channels, .a_row = stride * channels,
                           .k_blocks = kh, .k_width = kw * channels, .k_last = kw * channels,
                           .a_block = width * channels, .a_k = 1};
  lethe_product p = {.left = windows, .right = lay_right(4, w, depth, filters), .initial = bias, .initial_group = 16,
                     .out = y, .out_row = filters, .out_group = 16, .group = 1, .dense = true};
  int64_t panels = (blocks_of(filters) + 3) / 4;
  int64_t cut = next_below(oh * ow + 1);
  kernels->product(&p, cut, oh * ow, 0, panels);
  kernels->product(&p, 0, cut, 0, panels);
  same("convolution", y, oh * ow * filters);
  for (int64_t i = 0; i < oh; i++)
    for (int64_t j = 0; j < ow; j++)
      for (int64_t o = 0; o < filters; o++) {
        float s = bias[o];
        for (int64_t u = 0; u < kh; u++)
          for (int64_t v = 0; v < kw; v++)
            for (int64_t c = 0; c < channels; c++)
              s = fmaf(x[((i * stride + u) * width + j * stride + v) * channels + c],
                       w[((u * kw + v) * channels + c) * filters + o], s);
        want[(i * ow + j) * filters + o] = s;
      }
  equal_bits("convolution", y, want, oh * ow * filters);

  // The weight gradient: the same windows, transposed; the places of an output run as k.
  int64_t blocked = blocks_of(filters) * 16;
  float *dw = output(depth * blocked), *expected = input(depth * blocked);
  lethe_operand turned = {.a = x, .row_width = kw * channels, .row_block = width * channels, .a_row = 1,
                          .k_blocks = oh, .k_width = ow, .k_last = ow, .a_block = stride * width * channels,
                          .a_k = stride * channels};
  lethe_product q = {.left = turned, .right = lay_right(4, y, oh * ow, filters), .out = dw, .out_row = blocked,
                     .out_group = 16, .group = 1, .dense = true};
  q.right.columns = blocked;
  kernels->product(&q, 0, depth, 0, panels);
  same("weight gradient", dw, depth * blocked);
  for (int64_t d = 0; d < depth; d++)
    for (int64_t o = 0; o < blocked; o++) {
      int64_t u = d / (kw * channels), v = d / channels % kw, c = d % channels;
      float s = 0;
      for (int64_t i = 0; i < oh && o < filters; i++)
        for (int64_t j = 0; j < ow; j++)
          s = fmaf(x[((i * stride + u) * width + j * stride + v) * channels + c], y[(i * ow + j) * filters + o], s);
      expected[d * blocked + o] = s;
    }
  equal_bits("weight gradient", dw, expected, depth * blocked);
  release();
}

void test_products(void) {
  static const int64_t ks[] = {1, 7, 16, 17, 255, 256, 257, 600}, columns[] = {1, 15, 16, 17, 63, 64, 65, 130};
  static const int64_t few_rows[] = {1, 5, 7, 13}, few_ks[] = {1, 17, 257}, few_columns[] = {1, 17, 65, 130};
  seed(21);
  bias_where_row_0_would_be();
  // Every size, with kinds that change from one to the next (their numbers share no factor, so all pairs occur).
  int turn = 0;
  if (is_small) {
    for (int r = 0; r < 4; r++)
      for (int k = 0; k < 3; k++)
        for (int c = 0; c < 4; c++, turn++)
          case_of(few_rows[r], few_ks[k], few_columns[c], (left_kind)(turn % 4), turn % 7 % 6, (out_kind)(turn / 4 % 4),
                  (initial_kind)((turn + turn / 4) % 4));
  } else {
    for (int64_t r = 1; r <= 20; r++)
      for (int k = 0; k < 8; k++)
        for (int c = 0; c < 8; c++)
          for (int i = 0; i < 2; i++, turn++)
            case_of(r, ks[k], columns[c], (left_kind)(turn % 4), turn % 7 % 6, (out_kind)(turn / 4 % 4),
                    (initial_kind)((turn + turn / 16) % 4));
  }
  // Every combination of kinds, at sizes off every grid; k = 0.
  for (int left = 0; left < LEFT_KINDS; left++)
    for (int panel = 0; panel <= 5; panel++)
      for (int out = 0; out < OUT_KINDS; out++)
        for (int initial = 0; initial < INITIAL_KINDS; initial++) {
          case_of(7, 33, 81, (left_kind)left, panel, (out_kind)out, (initial_kind)initial);
          if (left != BLOCKS) case_of(3, 0, 33, (left_kind)left, panel, (out_kind)out, (initial_kind)initial);
          if (!is_small) case_of(19, 270, 150, (left_kind)left, panel, (out_kind)out, (initial_kind)initial);
        }
  // k, and rows, enough to be cut for the cache.
  for (int left = 0; left < LEFT_KINDS; left++)
    for (int initial = 0; initial < INITIAL_KINDS; initial++)
      case_of(8, 2100, 70, (left_kind)left, 4, (out_kind)((left + initial) % OUT_KINDS), (initial_kind)initial);
  if (!is_small)
    for (int left = 0; left < LEFT_KINDS; left++) case_of(1000, 300, 40, (left_kind)left, 4, DENSE, BIAS);

  seed(22);
  for (int64_t filters = 1; filters <= 20; filters += is_small ? 19 : 3)
    for (int64_t stride = 1; stride <= 3; stride++) {
      convolution(9, 11, 3, 3, 2, stride, filters);
      convolution(6, 23, 1, 5, 5, stride, filters);
      convolution(7, 7, 17, 1, 1, stride, filters);
    }
  if (!is_small) convolution(12, 13, 16, 3, 3, 1, 70);
}
