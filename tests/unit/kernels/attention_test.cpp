// Attention over every type of cache: each variant against scalar bit for bit, and against the
// definition in f64.

#include "kernels/attention.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "support/rng.h"
#include "unit/catch.h"

namespace thimble::kernels {
namespace {

using Floats = std::vector<float>;

Floats random_rows(std::int64_t count, const char* name) {
  Rng rng(4, name);
  Floats out(static_cast<std::size_t>(count));
  for (float& x : out) x = static_cast<float>(rng.normal());
  return out;
}

// Memory that starts on a multiple of 64.
struct Memory {
  explicit Memory(std::size_t bytes) : room(bytes + 64) {}
  void* data() {
    const auto at = reinterpret_cast<std::uintptr_t>(room.data());
    return room.data() + (64 - at % 64) % 64;
  }
  std::vector<std::byte> room;
};

struct Problem {
  std::int64_t dim, value_dim, tokens = 5, keys = 70, heads = 2, group = 2;
  Floats q, k, v;

  Problem(std::int64_t key_dim, std::int64_t other) : dim(key_dim), value_dim(other) {
    q = random_rows(tokens * heads * group * dim, "q");
    k = random_rows(keys * heads * dim, "k");
    v = random_rows(keys * heads * value_dim, "v");
    for (std::size_t i = 0; i < k.size(); i += static_cast<std::size_t>(dim)) k[i + 1] *= 8;
  }

  Floats run(const AttentionKernels& kernels, CacheType key_type, CacheType value_type) const {
    Memory key_memory(cache_bytes(key_type, heads, keys, dim));
    Memory value_memory(cache_bytes(value_type, heads, keys, value_dim));
    AttentionCall call;
    call.keys = cache_over(key_memory.data(), key_type, heads, keys, dim);
    call.values = cache_over(value_memory.data(), value_type, heads, keys, value_dim);
    cache_store(call.keys, k.data(), keys, 0);
    cache_store(call.values, v.data(), keys, 0);
    Floats y(static_cast<std::size_t>(tokens * heads * group * value_dim));
    call.q = q.data();
    call.y = y.data();
    call.tokens = tokens;
    call.q_heads = heads * group;
    call.position = keys - tokens;
    call.key_count = keys;
    call.scale = 1 / std::sqrt(static_cast<float>(dim));
    Memory scratch(attention_scratch_bytes(call));
    kernels.attend(call, 0, attention_items(call), scratch.data());
    return y;
  }
};

double relative_error(const Floats& a, const Floats& exact) {
  double noise = 0, signal = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    noise += std::pow(static_cast<double>(a[i]) - static_cast<double>(exact[i]), 2);
    signal += std::pow(static_cast<double>(exact[i]), 2);
  }
  return std::sqrt(noise / signal);
}

constexpr CacheType kTypes[] = {CacheType::kF32, CacheType::kF16, CacheType::kInt8,
                                CacheType::kInt4};

}  // namespace

TEST_CASE("every variant attends as scalar does, over every pair of caches") {
  for (const auto& [dim, value_dim] : {std::pair(8, 24), {16, 16}, {40, 33}, {64, 64}, {96, 128}}) {
    const Problem problem(dim, value_dim);
    for (const CacheType keys : kTypes) {
      for (const CacheType values : kTypes) {
        const Floats expected = problem.run(*attention_variants().front(), keys, values);
        for (const AttentionKernels* variant : attention_variants()) {
          if (!cpu_has(variant->isa)) continue;
          CAPTURE(dim, value_dim, isa_name(variant->isa), static_cast<int>(keys),
                  static_cast<int>(values));
          const Floats actual = problem.run(*variant, keys, values);
          REQUIRE(std::memcmp(actual.data(), expected.data(), 4 * actual.size()) == 0);
        }
      }
    }
  }
}

TEST_CASE("narrow caches lose little") {
  for (const std::int64_t dim : {16, 64, 96}) {
    const Problem problem(dim, dim);
    const AttentionKernels& scalar = *attention_variants().front();
    const Floats exact = problem.run(scalar, CacheType::kF32, CacheType::kF32);
    CAPTURE(dim);
    CHECK(relative_error(problem.run(scalar, CacheType::kF16, CacheType::kF16), exact) < 2e-3);
    CHECK(relative_error(problem.run(scalar, CacheType::kInt8, CacheType::kInt8), exact) < 5e-2);
    CHECK(relative_error(problem.run(scalar, CacheType::kInt8, CacheType::kInt4), exact) < 0.12);
    const double both =
        relative_error(problem.run(scalar, CacheType::kInt4, CacheType::kInt4), exact);
    CHECK((both > 0 && both < 0.3));
  }
}

TEST_CASE("a rotation is its own inverse and keeps dot products") {
  for (const std::int64_t dim : {1, 2, 7, 16, 40, 64, 96, 128}) {
    const Floats a = random_rows(dim, "a"), b = random_rows(dim, "b");
    Floats ra = a, rb = b;
    rotate_row(ra.data(), dim);
    rotate_row(rb.data(), dim);
    double dot = 0, rotated = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
      dot += static_cast<double>(a[i]) * static_cast<double>(b[i]);
      rotated += static_cast<double>(ra[i]) * static_cast<double>(rb[i]);
    }
    CAPTURE(dim);
    CHECK(rotated == Approx(dot).margin(1e-5));
    if (dim % 2 == 0) CHECK(ra != a);
    rotate_row(ra.data(), dim);
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(ra[i] == Approx(a[i]).margin(1e-5));
  }
}

TEST_CASE("what isn't finite in a row of 4 bits stays not finite, and spreads no further") {
  Floats rows = random_rows(2 * 64, "rows");
  rows[70] = std::numeric_limits<float>::infinity();
  Memory memory(cache_bytes(CacheType::kInt4, 1, 2, 64));
  const CacheView cache = cache_over(memory.data(), CacheType::kInt4, 1, 2, 64);
  CHECK(cache.row_bytes == 40);  // 5 bits a number
  cache_store(cache, rows.data(), 2, 0);
  for (int row = 0; row < 2; ++row) {
    std::uint16_t scale;
    std::memcpy(&scale, static_cast<const std::byte*>(cache.data) + row * cache.row_bytes, 2);
    CHECK(((scale & 0x7f80u) == 0x7f80u) == (row == 1));
  }
}

}  // namespace thimble::kernels
