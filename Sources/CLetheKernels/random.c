// Counter-based random numbers: the same on every machine, whoever asks in whatever order.
#include "lethe_kernels.h"

static inline void philox_round(uint32_t c[4], uint32_t k0, uint32_t k1) {
  uint64_t a = (uint64_t)0xD2511F53u * c[0], b = (uint64_t)0xCD9E8D57u * c[2];
  uint32_t x0 = (uint32_t)(b >> 32) ^ c[1] ^ k0, x2 = (uint32_t)(a >> 32) ^ c[3] ^ k1;
  c[0] = x0;
  c[1] = (uint32_t)b;
  c[2] = x2;
  c[3] = (uint32_t)a;
}

static inline void philox(uint32_t out[4], uint64_t key, uint64_t stream, uint64_t index) {
  uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
  out[0] = (uint32_t)index;
  out[1] = (uint32_t)(index >> 32);
  out[2] = (uint32_t)stream;
  out[3] = (uint32_t)(stream >> 32);
  for (int i = 0; i < 10; i++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) philox_round(out, k0, k1);
}

void lethe_philox(uint32_t *words, uint64_t key, uint64_t stream, uint64_t first, int64_t count) {
  for (int64_t i = 0; i < count; i++) philox(words + 4 * i, key, stream, first + (uint64_t)i);
}

void lethe_dropout_mask(float *mask, uint64_t key, uint64_t stream, float keep, int64_t n) {
  uint64_t bound = (uint64_t)((double)keep * 4294967296.0);
  float scale = 1.0f / keep;
  for (int64_t i = 0; i < n; i += 4) {
    uint32_t w[4];
    philox(w, key, stream, (uint64_t)i / 4);
    for (int64_t l = 0; l < 4 && i + l < n; l++) mask[i + l] = w[l] < bound ? scale : 0;
  }
}
