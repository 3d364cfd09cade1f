// exp, log, sigmoid and tanh of a vector, the same bits on every instruction set.
// Included once per instruction set, after vec.h, inside that set's target region, with FP_CONTRACT off.
//
// Only IEEE operations (add, multiply, fma, divide, compare) and integer ones: no table, no estimate, no libm.
// Rounding to an integer is done by adding 1.5 * 2^23: the sum's low bits then hold the integer (plus a bias that
// is added with it), ready to be shifted into an exponent. NaN in gives NaN out in every function.
//
// Errors are in ulp (spacing of floats at the true result): the largest over all 2^32 inputs, against libm in double.
// The AVX-512, AVX2 and portable builds gave equal bits on all of them, arm64 NEON on every 101st.
// log is monotone; of neighbouring floats, results can swap by 1 ulp in exp and tanh and by 2 in sigmoid.
// Operations are counted for 16 floats on AVX-512, without loads of constants.

// Printed by scripts/fit_math.py.
#ifndef LETHE_LOG2E
#define LETHE_LOG2E 0x1.715476p+0f  // 1.44269502
#define LETHE_LN2_HI 0x1.62e43p-1f  // 0.693147182
#define LETHE_LN2_LO -0x1.05c61p-29f  // -1.90465421e-09
// exp: fit 3.11e-09 before rounding, 3.20e-09 after
#define LETHE_EXP_C2 0x1.fffffcp-2f  // 0.49999994
#define LETHE_EXP_C3 0x1.555492p-3f  // 0.166665211
#define LETHE_EXP_C4 0x1.5558bep-5f  // 0.0416682921
#define LETHE_EXP_C5 0x1.1239ep-7f  // 0.00836871564
#define LETHE_EXP_C6 0x1.6a3fb6p-10f  // 0.00138186978
#define LETHE_SIG_A0 0x1.a66666p+0f  // 1.64999998
// sigmoid, exp r: fit 9.49e-11 before rounding, 2.82e-10 after
#define LETHE_SIG_A1 0x1.51d5a8p-3f  // 0.164958298
#define LETHE_SIG_B0 0x1.a66666p-1f  // 0.824999988
#define LETHE_SIG_B1 0x1.c1e12cp-7f  // 0.0137292352
#define LETHE_LN2_2_23 0x1.62e43p-24f  // 8.26295832e-08
// log: fit 4.48e-09 before rounding, 4.65e-09 after
#define LETHE_LOG_C2 -0x1p-1f  // -0.5
#define LETHE_LOG_C3 0x1.555506p-2f  // 0.333332151
#define LETHE_LOG_C4 -0x1.fffefcp-3f  // -0.249998063
#define LETHE_LOG_C5 0x1.99d044p-3f  // 0.200104266
#define LETHE_LOG_C6 -0x1.559c44p-3f  // -0.166801959
#define LETHE_LOG_C7 0x1.1ed662p-3f  // 0.14005734
#define LETHE_LOG_C8 -0x1.f332fap-4f  // -0.121874787
#define LETHE_LOG_C9 0x1.1e678cp-3f  // 0.139845937
#define LETHE_LOG_C10 -0x1.07c88cp-3f  // -0.128800482
#define LETHE_TWO_LOG2E 0x1.715476p+1f  // 2.88539004
#define LETHE_HALF_LN2 0x1.62e43p-2f  // 0.346573591
// tanh: fit 2.22e-09 before rounding, 2.23e-09 after
#define LETHE_TANH_C1 0x1.55551ep-2f  // 0.333332509
#define LETHE_TANH_C2 -0x1.6aa346p-6f  // -0.022133654
#endif

// exp x = 2^n exp r, n = round(x / ln 2), |r| <= ln 2 / 2, exp r by a polynomial of degree 6.
// 2^n is applied as two factors, so that results below 2^-126 are rounded once and correctly gradual.
// Error: 0.90 ulp, denormal results included. exp(+-0) = 1, above 88.722839 inf, below -103.97 zero.
// Cost: 18 operations.
LETHE_AI vf v_exp(vf x) {
  x = v_clamp(x, -104.0f, 89.0f);  // beyond: the same results, and n stays in range
  const vf magic = v_set(0x1.8p23f + 254.0f);
  vf t = v_fma(x, v_set(LETHE_LOG2E), magic);
  vf n = t - magic;
  vf r = v_fma(n, v_set(-LETHE_LN2_HI), x);
  r = v_fma(n, v_set(-LETHE_LN2_LO), r);
  vf p = v_fma(v_set(LETHE_EXP_C6), r, v_set(LETHE_EXP_C5));
  p = v_fma(p, r, v_set(LETHE_EXP_C4));
  p = v_fma(p, r, v_set(LETHE_EXP_C3));
  p = v_fma(p, r, v_set(LETHE_EXP_C2));
  p = v_fma(p, r, v_set(1.0f));
  p = v_fma(p, r, v_set(1.0f));
  vi i = (vi)t, half = i >> 1;
  // i = n + 254 is the sum of two biased exponents.
  return p * (vf)(half << 23) * (vf)((i - half) << 23);
}

// log x = e ln 2 + log(1 + f), 2/3 <= 1 + f < 4/3, log(1 + f) = f + f^2 c(f) with c of degree 8.
// For normal x with e times 2^23 to be added to its exponent.
LETHE_AI vf log_of_normal(vf x, vi added) {
  vi bits = (vi)x;
  // e and 1 + f by integer arithmetic: 0x3f2aaaab is 2/3; e stays scaled by 2^23.
  vi e = (bits - vi_set(0x3f2aaaab)) & vi_set(-0x00800000);
  vf f = (vf)(bits - e) - v_set(1.0f);
  e = e + added;
  vf p = v_fma(v_set(LETHE_LOG_C10), f, v_set(LETHE_LOG_C9));
  p = v_fma(p, f, v_set(LETHE_LOG_C8));
  p = v_fma(p, f, v_set(LETHE_LOG_C7));
  p = v_fma(p, f, v_set(LETHE_LOG_C6));
  p = v_fma(p, f, v_set(LETHE_LOG_C5));
  p = v_fma(p, f, v_set(LETHE_LOG_C4));
  p = v_fma(p, f, v_set(LETHE_LOG_C3));
  p = v_fma(p, f, v_set(LETHE_LOG_C2));
  p = v_fma(p, f * f, f);
  return v_fma(__builtin_convertvector(e, vf), v_set(LETHE_LN2_2_23), p);
}

// Denormals are multiplied by 2^23 first. Error: 0.94 ulp, also around x = 1, where e = 0.
// log(1) = +0, log(+-0) = -inf, log(x < 0) = NaN, log(inf) = inf.
// Cost: about 28 operations; not for inner loops.
LETHE_AI vf v_log(vf x) {
  vi tiny = (vi)(x < v_set(0x1p-126f));
  vf p = log_of_normal(v_select(tiny, x * v_set(0x1p23f), x), tiny & vi_set(-(23 << 23)));
  p = v_select((vi)(x < v_set(__builtin_inff())), p, x);
  p = v_select((vi)(x == v_set(0.0f)), v_set(-__builtin_inff()), p);
  return v_select((vi)(x < v_set(0.0f)), v_set(__builtin_nanf("")), p);
}

// log(1 + exp x) = max(x, 0) + log(1 + exp(-|x|)). Error: as that of its parts, absolute below x = 0 where 1 + exp x is
// rounded. NaN stays in max(x, 0).
LETHE_AI vf v_softplus(vf x) {
  vf rest = 1.0f + v_exp((vf)((vi)x | vi_set(INT32_MIN)));
  return v_select((vi)(x < v_set(0)), v_set(0), x) + log_of_normal(rest, vi_set(0));
}

// 1 / (1 + exp(-x)) with exp(-x) = 2^n (a - rb) / (a + rb), so that one division serves both:
// sigmoid x = (a + rb) / ((a + rb) + 2^n (a - rb)), n = round(-x / ln 2), r = x + n ln 2.
// Error: 2.33 ulp for x < 0, relative also in the far tail, down to x = -88.376 and into denormal results; 1.52 ulp
// for x >= 0. Below -88.376 the result is 0 where the truth is under 4.2e-39; from 16.983 on it is exactly 1.
// Always within [0, 1]; sigmoid(+-0) = 0.5, sigmoid(-inf) = 0, sigmoid(inf) = 1.
// Cost: 14 operations, one of them a division.
LETHE_AI vf v_sigmoid(vf x) {
  x = v_clamp(x, -89.0f, 32.0f);  // -89: 2^n becomes inf, the result 0; 32: the result is 1
  const vf magic = v_set(0x1.8p23f + 127.0f);
  vf t = v_fma(x, v_set(-LETHE_LOG2E), magic);
  vf n = t - magic;
  vf r = v_fma(n, v_set(LETHE_LN2_HI), x);
  r = v_fma(n, v_set(LETHE_LN2_LO), r);
  vf r2 = r * r;
  vf a = v_fma(r2, v_set(LETHE_SIG_A1), v_set(LETHE_SIG_A0));
  vf b = v_fma(r2, v_set(LETHE_SIG_B1), v_set(LETHE_SIG_B0));
  vf up = v_fma(r, b, a), down = v_fma(-r, b, a);
  return up / v_fma((vf)((vi)t << 23), down, up);
}

// With a = |x| and m = (exp(2a) - 1) / 2: tanh a = m / (m + 1).
// exp(2a) = s exp(2r), s = 2^n, n = round(2a / ln 2), r = a - n ln 2 / 2, and (exp(2r) - 1) / 2 = r / d with
// d = r coth r - r = 1 - r + c1 r^2 + c2 r^4. Times d: m d = s r + d (s - 1) / 2, and tanh a = md / (md + d).
// One constant for ln 2 / 2 is enough: where n is large, tanh no longer feels the error of r.
// Error: 2.14 ulp, the largest at |x| = 0.52. Odd in every bit, tanh(x) = x for tiny x (denormals and -0 too), never
// above 1, exactly 1 from 9.0110 on, tanh(+-inf) = +-1.
// Cost: 16 operations, one of them a division.
LETHE_AI vf v_tanh(vf x) {
  vf a = (vf)((vi)x & vi_set(0x7fffffff));
  a = v_select((vi)(a > v_set(10.0f)), v_set(10.0f), a);
  const vf magic = v_set(0x1.8p23f + 127.0f);
  vf t = v_fma(a, v_set(LETHE_TWO_LOG2E), magic);
  vf n = t - magic;
  vf r = v_fma(n, v_set(-LETHE_HALF_LN2), a);
  vf s = (vf)((vi)t << 23);
  vf half = v_fma(s, v_set(0.5f), v_set(-0.5f));
  vf d = v_fma(r * r, v_set(LETHE_TANH_C2), v_set(LETHE_TANH_C1));
  d = v_fma(r, d, v_set(-1.0f));
  d = v_fma(r, d, v_set(1.0f));
  vf up = v_fma(s, r, half * d);
  vf y = up / (up + d);
  return (vf)((vi)y | ((vi)x & vi_set(INT32_MIN)));
}
