// The virtual vector: 16 floats on every instruction set, so that layouts and bits are the same everywhere.
// Included once per instruction set, inside that set's target region; everything here is always inlined.
#ifndef LETHE_AI
#define LETHE_AI static inline __attribute__((always_inline, unused))
#define LETHE_NI static __attribute__((noinline, unused))

typedef float vf __attribute__((vector_size(64), aligned(4)));
typedef int32_t vi __attribute__((vector_size(64), aligned(4)));
enum { LETHE_LANES = 16 };
#endif

LETHE_AI vf v_set(float x) { return (vf){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }
LETHE_AI vi vi_set(int32_t x) { return (vi){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }
LETHE_AI vf v_load(const float *p) { return *(const vf *)p; }
LETHE_AI void v_store(float *p, vf v) { *(vf *)p = v; }
LETHE_AI vf v_fma(vf a, vf b, vf c) { return __builtin_elementwise_fma(a, b, c); }
// Lane by lane: mask ? a : b, where a mask lane is all ones or all zeros (what a vector comparison gives).
LETHE_AI vf v_select(vi mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); }
// Bounds that let NaN through, unlike fmin and fmax.
LETHE_AI vf v_clamp(vf x, float lo, float hi) {
  x = v_select((vi)(x < v_set(lo)), v_set(lo), x);
  return v_select((vi)(x > v_set(hi)), v_set(hi), x);
}
// The lanes joined in a fixed tree.
LETHE_AI float v_total(vf v) {
  for (int step = 8; step > 0; step /= 2)
    for (int i = 0; i < step; i++) v[i] += v[i + step];
  return v[0];
}
