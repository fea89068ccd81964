// Multi-head attention inside jets of any length, and its gradient, for CPUs.
//
// Tokens are rows: the class token of jet b is row b; after all class tokens follow the
// particles of jet 0, of jet 1, and so on. A jet fits the caches, so it is computed head
// by head in buffers of its own, with queries along the vector: scores, softmax and sums
// are then vertical operations, and one small matrix product serves every step.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <vector>

#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace {

constexpr int W = 8;  // floats in a vector
typedef float Vec __attribute__((vector_size(4 * W), aligned(4)));
typedef int32_t Ints __attribute__((vector_size(4 * W), aligned(4)));

inline Vec load(const float* p) { return *reinterpret_cast<const Vec*>(p); }
inline void store(float* p, Vec v) { *reinterpret_cast<Vec*>(p) = v; }
inline Vec larger(Vec a, Vec b) { return a > b ? a : b; }
inline int whole(int n) { return (n + W - 1) / W * W; }

// exp(x) for x <= 0 within 2 units in the last place: x = n ln 2 + r, |r| < ln 2 / 2,
// and a polynomial in r (coefficients of Cephes' expf). A NaN stays NaN: it is multiplied
// by 2^n, where adding n to its exponent could make it a number.
inline Vec exponential(Vec x) {
  Vec clamped = x < -87.0f ? Vec{} - 87.0f : x;
  Vec shifted = clamped * 1.44269504f + 12582912.0f;  // 1.5 * 2^23: rounds to integer
  Ints n = reinterpret_cast<Ints>(shifted);
  shifted -= 12582912.0f;
  Vec r = clamped - shifted * 0.693359375f + shifted * 2.12194440e-4f;
  Vec p = 1.9875691500e-4f * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  return p * reinterpret_cast<Vec>((n << 23) + 0x3f800000);
}

// Rows of C = A B, where A[m][k] stands at m * am + k * ak; MR x NR vectors at a time.
template <int MR, int NR>
inline void tile(int K, const float* A, int am, int ak, const float* B, int ldb, float* C,
                 int ldc) {
  Vec sum[MR][NR] = {};
  for (int k = 0; k < K; ++k) {
    Vec b[NR];
    for (int n = 0; n < NR; ++n) b[n] = load(B + k * ldb + n * W);
    for (int m = 0; m < MR; ++m) {
      float a = A[m * am + k * ak];
      for (int n = 0; n < NR; ++n) sum[m][n] += a * b[n];
    }
  }
  for (int m = 0; m < MR; ++m)
    for (int n = 0; n < NR; ++n) store(C + m * ldc + n * W, sum[m][n]);
}

constexpr int R = 6;  // rows of a tile: 12 sums and 2 operands fill 16 registers

template <int NR>
inline void panel(int M, int K, const float* A, int am, int ak, const float* B, int ldb,
                  float* C, int ldc) {
  for (; M >= R; M -= R, A += R * am, C += R * ldc) tile<R, NR>(K, A, am, ak, B, ldb, C, ldc);
  switch (M) {
    case 5: return tile<5, NR>(K, A, am, ak, B, ldb, C, ldc);
    case 4: return tile<4, NR>(K, A, am, ak, B, ldb, C, ldc);
    case 3: return tile<3, NR>(K, A, am, ak, B, ldb, C, ldc);
    case 2: return tile<2, NR>(K, A, am, ak, B, ldb, C, ldc);
    case 1: return tile<1, NR>(K, A, am, ak, B, ldb, C, ldc);
  }
}

// C[M][N] = A[M][K] B[K][N] with N a multiple of W.
void product(int M, int N, int K, const float* A, int am, int ak, const float* B, int ldb,
             float* C, int ldc) {
  int n = 0;
  for (; n + 2 * W <= N; n += 2 * W) panel<2>(M, K, A, am, ak, B + n, ldb, C + n, ldc);
  for (; n < N; n += W) panel<1>(M, K, A, am, ak, B + n, ldb, C + n, ldc);
}

struct Batch {
  int jets, d, heads, e;  // e: width of a head
  bool all;               // queries are all tokens, not the class tokens alone
  float scale;
};

struct Jet {
  int number, first, tokens;  // first: index of its first particle
};

inline int64_t row(const Batch& b, const Jet& jet, int token) {
  return token == 0 ? jet.number : int64_t(b.jets) + jet.first + token - 1;
}

using Scratch = std::vector<float>;

// Cuts a thread's memory into the buffers of one jet.
struct Cutter {
  Scratch& memory;
  size_t used = 0;
  Cutter(Scratch& m, size_t floats) : memory(m) {
    if (memory.size() < floats) memory.resize(floats);
  }
  float* cut(size_t floats) {
    float* here = memory.data() + used;
    used += floats;
    return here;
  }
};

void read_pairs(const Batch& b, const Jet& jet, int head, const float* key_value, float* k,
                float* v) {
  for (int t = 0; t < jet.tokens; ++t) {
    const float* from = key_value + row(b, jet, t) * 2 * b.d + head * b.e;
    std::memcpy(k + t * b.e, from, 4 * b.e);
    std::memcpy(v + t * b.e, from + b.d, 4 * b.e);
  }
}

void forward(const Batch& b, const Jet& jet, const float* q, const float* key_value,
             float* mixed, float* log_sum, Scratch& scratch) {
  int T = jet.tokens, Q = b.all ? T : 1, P = whole(Q), e = b.e;
  Cutter memory(scratch, size_t(2 * e + T + 2) * P + 2 * size_t(T) * e);
  float *qt = memory.cut(e * P), *out = memory.cut(e * P), *s = memory.cut(T * P);
  float *top = memory.cut(P), *sum = memory.cut(P);
  float *k = memory.cut(T * e), *v = memory.cut(T * e);
  for (int h = 0; h < b.heads; ++h) {
    std::fill(qt, qt + e * P, 0.0f);
    for (int i = 0; i < Q; ++i) {
      const float* from = q + row(b, jet, i) * b.d + h * e;
      for (int x = 0; x < e; ++x) qt[x * P + i] = from[x] * b.scale;
    }
    read_pairs(b, jet, h, key_value, k, v);
    product(T, P, e, k, e, 1, qt, P, s, P);
    for (int i = 0; i < P; i += W) {
      Vec most = load(s + i), total = {};
      for (int t = 1; t < T; ++t) most = larger(most, load(s + t * P + i));
      for (int t = 0; t < T; ++t) {
        Vec p = exponential(load(s + t * P + i) - most);
        total += p;
        store(s + t * P + i, p);
      }
      store(top + i, most);
      store(sum + i, total);
    }
    product(e, P, T, v, 1, e, s, P, out, P);
    for (int i = 0; i < Q; ++i) {
      int64_t r = row(b, jet, i);
      for (int x = 0; x < e; ++x) mixed[r * b.d + h * e + x] = out[x * P + i] / sum[i];
      log_sum[r * b.heads + h] = top[i] + std::log(sum[i]);
    }
  }
}

// With p = exp(s - log_sum), g the gradient of the output o, delta = g . o:
// dv = p^T g, ds = p (g v^T - delta), dq = ds k, dk = ds^T q.
void backward(const Batch& b, const Jet& jet, const float* q, const float* key_value,
              const float* mixed, const float* log_sum, const float* grad, float* dq,
              float* dkey_value, Scratch& scratch) {
  int T = jet.tokens, Q = b.all ? T : 1, P = whole(Q), e = b.e, E = whole(e);
  Cutter memory(scratch, size_t(3 * e + 2 * T + 2) * P + 2 * size_t(T) * e +
                             2 * size_t(Q + T) * E);
  float *qt = memory.cut(e * P), *gt = memory.cut(e * P), *dqt = memory.cut(e * P);
  float *p = memory.cut(T * P), *ds = memory.cut(T * P);
  float *shift = memory.cut(P), *delta = memory.cut(P);
  float *k = memory.cut(T * e), *v = memory.cut(T * e);
  float *qs = memory.cut(Q * E), *gs = memory.cut(Q * E);
  float *dk = memory.cut(T * E), *dv = memory.cut(T * E);
  for (int h = 0; h < b.heads; ++h) {
    for (float* empty : {qt, gt}) std::fill(empty, empty + e * P, 0.0f);
    for (float* empty : {qs, gs}) std::fill(empty, empty + Q * E, 0.0f);
    for (float* empty : {shift, delta}) std::fill(empty, empty + P, 0.0f);
    for (int i = 0; i < Q; ++i) {
      int64_t r = row(b, jet, i), at = r * b.d + h * e;
      for (int x = 0; x < e; ++x) {
        qt[x * P + i] = qs[i * E + x] = q[at + x] * b.scale;
        gt[x * P + i] = gs[i * E + x] = grad[at + x];
        delta[i] += grad[at + x] * mixed[at + x];
      }
      shift[i] = log_sum[r * b.heads + h];
    }
    read_pairs(b, jet, h, key_value, k, v);
    product(T, P, e, k, e, 1, qt, P, p, P);
    product(T, P, e, v, e, 1, gt, P, ds, P);
    for (int i = 0; i < P; i += W)
      for (int t = 0; t < T; ++t) {
        float *here = p + t * P + i, *there = ds + t * P + i;
        store(here, exponential(load(here) - load(shift + i)));
        store(there, load(here) * (load(there) - load(delta + i)));
      }
    product(e, P, T, k, 1, e, ds, P, dqt, P);
    product(T, E, Q, ds, P, 1, qs, E, dk, E);
    product(T, E, Q, p, P, 1, gs, E, dv, E);
    for (int i = 0; i < Q; ++i)
      for (int x = 0; x < e; ++x)
        dq[row(b, jet, i) * b.d + h * e + x] = dqt[x * P + i] * b.scale;
    for (int t = 0; t < T; ++t) {
      float* to = dkey_value + row(b, jet, t) * 2 * b.d + h * e;
      std::memcpy(to, dk + t * E, 4 * e);
      std::memcpy(to + b.d, dv + t * E, 4 * e);
    }
  }
}

// Distributes jets over XLA's own threads. The calling thread takes part, so a busy pool
// cannot block it. Jets write to separate rows, so results do not depend on the threads.
template <class Work>
void each(ffi::ThreadPool pool, const std::vector<Jet>& jets, Work work) {
  struct Progress {
    std::atomic<size_t> next{0}, done{0};
    std::mutex mutex;
    std::condition_variable finished;
  };
  auto progress = std::make_shared<Progress>();
  auto run = [progress, count = jets.size(), data = jets.data(), work]() {
    Scratch scratch;
    for (size_t i; (i = progress->next.fetch_add(1)) < count;) {
      work(data[i], scratch);
      if (progress->done.fetch_add(1) + 1 == count) {
        std::lock_guard<std::mutex> lock(progress->mutex);
        progress->finished.notify_all();
      }
    }
  };
  for (int64_t t = 1; t < pool.num_threads(); ++t) pool.Schedule(decltype(run)(run));
  run();
  std::unique_lock<std::mutex> lock(progress->mutex);
  progress->finished.wait(lock, [&] { return progress->done == jets.size(); });
}

using Floats = ffi::Buffer<ffi::F32>;
using Counts = ffi::Buffer<ffi::S32>;
using Result = ffi::ResultBuffer<ffi::F32>;

Batch batch(const Floats& q, const Floats& key_value, const Counts& counts, int64_t heads) {
  int jets = counts.element_count(), d = q.dimensions()[1], e = d / heads;
  bool all = q.dimensions()[0] == key_value.dimensions()[0];
  return {jets, d, int(heads), e, all, 1 / std::sqrt(float(e))};
}

std::vector<Jet> jets_of(const Counts& counts) {
  std::vector<Jet> jets(counts.element_count());
  int first = 0;
  for (int b = 0; b < int(jets.size()); first += counts.typed_data()[b++])
    jets[b] = {b, first, counts.typed_data()[b] + 1};
  return jets;
}

// Whether the rows hold all tokens and the heads divide the columns: otherwise the
// kernel would write past its buffers.
bool fits(const Floats& key_value, const Counts& counts, int64_t heads) {
  int64_t used = counts.element_count();
  bool counted = used > 0;
  for (int b = 0; b < int(counts.element_count()); ++b) {
    used += counts.typed_data()[b];
    counted = counted && counts.typed_data()[b] >= 0;
  }
  bool headed = heads > 0 && key_value.dimensions()[1] % (2 * heads) == 0;
  return counted && headed && used <= key_value.dimensions()[0];
}

ffi::Error invalid_shapes() {
  return ffi::Error::InvalidArgument(
      "attention: the rows must hold one class token per jet (at least one) and all "
      "particles, and the heads must divide the columns");
}

// Sets the rows past the last particle to zero.
void clear_padding(Result out, const std::vector<Jet>& jets) {
  int64_t rows = out->dimensions()[0], width = out->dimensions()[1];
  int64_t used = jets.size() + jets.back().first + jets.back().tokens - 1;
  if (used < rows)
    std::memset(out->typed_data() + used * width, 0, 4 * (rows - used) * width);
}

ffi::Error Attend(ffi::ThreadPool pool, Floats q, Floats key_value, Counts counts,
                  Result mixed, Result log_sum, int64_t heads) {
  if (!fits(key_value, counts, heads)) return invalid_shapes();
  Batch b = batch(q, key_value, counts, heads);
  std::vector<Jet> jets = jets_of(counts);
  if (b.all) clear_padding(mixed, jets), clear_padding(log_sum, jets);
  const float *in = q.typed_data(), *pairs = key_value.typed_data();
  float *out = mixed->typed_data(), *sums = log_sum->typed_data();
  each(pool, jets, [=](const Jet& jet, Scratch& scratch) {
    forward(b, jet, in, pairs, out, sums, scratch);
  });
  return ffi::Error::Success();
}

ffi::Error AttendBack(ffi::ThreadPool pool, Floats q, Floats key_value, Counts counts,
                      Floats mixed, Floats log_sum, Floats grad, Result dq,
                      Result dkey_value, int64_t heads) {
  if (!fits(key_value, counts, heads)) return invalid_shapes();
  Batch b = batch(q, key_value, counts, heads);
  std::vector<Jet> jets = jets_of(counts);
  if (b.all) clear_padding(dq, jets);
  clear_padding(dkey_value, jets);
  const float *in = q.typed_data(), *pairs = key_value.typed_data();
  const float *out = mixed.typed_data(), *sums = log_sum.typed_data();
  const float* g = grad.typed_data();
  float *a = dq->typed_data(), *c = dkey_value->typed_data();
  each(pool, jets, [=](const Jet& jet, Scratch& scratch) {
    backward(b, jet, in, pairs, out, sums, g, a, c, scratch);
  });
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(jetlab_attend, Attend,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Floats>()
                                  .Arg<Floats>()
                                  .Arg<Counts>()
                                  .Ret<Floats>()
                                  .Ret<Floats>()
                                  .Attr<int64_t>("heads"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(jetlab_attend_back, AttendBack,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Floats>()
                                  .Arg<Floats>()
                                  .Arg<Counts>()
                                  .Arg<Floats>()
                                  .Arg<Floats>()
                                  .Arg<Floats>()
                                  .Ret<Floats>()
                                  .Ret<Floats>()
                                  .Attr<int64_t>("heads"));
