// Measures the products with weights on one thread, every variant that this CPU has, and checks
// each result against the scalar variant's, bit for bit, in the same run.
//
//   bench_kernels [N K ROWS [BITS]] ...   default: a few shapes of language models
//
// The weights of a decoding row count as bytes; a streaming read of the same size, measured between
// the shapes, says what the memory gives.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <random>
#include <string>
#include <vector>

#include "kernels/linear.h"
#include "support/half.h"

namespace {

using namespace thimble::kernels;
using thimble::float_to_bfloat;
using thimble::float_to_half;

constexpr double kSecondsPerCase = 0.25;

struct Shape {
  std::int64_t n, k, rows;
  int bits;  // 2..8; 0: dense f32, 16: dense f16, -16: dense bf16
};

std::string text_of(const Shape& shape) {
  return std::to_string(shape.n) + "x" + std::to_string(shape.k) + " rows " +
         std::to_string(shape.rows);
}

// Memory at a cache line's start, as the runtime and the file give it.
template <class T>
class Aligned {
 public:
  explicit Aligned(std::size_t count)
      : count_(count),
        data_(static_cast<T*>(::operator new (count * sizeof(T), std::align_val_t{64}))) {
    std::memset(static_cast<void*>(data_), 0, count * sizeof(T));
  }
  ~Aligned() { ::operator delete (data_, std::align_val_t{64}); }
  Aligned(const Aligned&) = delete;
  Aligned& operator=(const Aligned&) = delete;
  T* data() { return data_; }
  T* begin() { return data_; }
  T* end() { return data_ + count_; }
  std::size_t bytes() const { return count_ * sizeof(T); }

 private:
  std::size_t count_;
  T* data_;
};

double now() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(since).count();
}

// The best of the runs that fit: other processes only ever make a run slower.
double best_seconds(const std::function<void()>& work) {
  double best = 1e9;
  const double start = now();
  for (int i = 0; i < 3 || now() - start < kSecondsPerCase; ++i) {
    const double before = now();
    work();
    best = std::min(best, now() - before);
  }
  return best;
}

// GB/s of a plain sum over memory much larger than the caches, in four streams.
double read_bandwidth() {
  static Aligned<std::uint64_t> memory(std::size_t{32} << 20);
  static volatile std::uint64_t sink;
  const double seconds = best_seconds([] {
    constexpr std::size_t kPart = (std::size_t{32} << 20) / 4;
    std::uint64_t sums[4][8] = {};
    for (std::size_t at = 0; at < kPart; at += 8) {
      for (int part = 0; part < 4; ++part) {
        for (int i = 0; i < 8; ++i) sums[part][i] += memory.data()[part * kPart + at + i];
      }
    }
    for (const auto& part : sums) {
      for (const std::uint64_t sum : part) sink = sink + sum;
    }
  });
  return static_cast<double>(memory.bytes()) / seconds * 1e-9;
}

// Runs `work` with a variant's kernels into y and prints its line. The weights are copied often
// enough to leave the caches when `rows` is 1.
struct Case {
  std::string name;
  double operations = 0, weight_bytes = 0;
  std::function<void(const LinearKernels&, float*)> work;
};

bool run_case(const Case& c, std::int64_t outputs) {
  std::vector<float> expected(static_cast<std::size_t>(outputs)), y(expected.size());
  c.work(linear_kernels(Isa::kScalar), expected.data());
  bool same = true;
  for (const LinearKernels* variant : linear_variants()) {
    if (!cpu_has(variant->isa) || variant->isa == Isa::kScalar) continue;
    std::fill(y.begin(), y.end(), -1.0f);
    c.work(*variant, y.data());
    const bool equal = std::memcmp(y.data(), expected.data(), y.size() * sizeof(float)) == 0;
    const double seconds = best_seconds([&] { c.work(*variant, y.data()); });
    std::printf("%-38s %-12s %8.1f GOP/s %7.2f GB/s %9.1f us  %s\n", c.name.c_str(),
                std::string(isa_name(variant->isa)).c_str(), c.operations / seconds * 1e-9,
                c.weight_bytes / seconds * 1e-9, seconds * 1e6, equal ? "same bits" : "DIFFERS");
    same = same && equal;
  }
  return same;
}

bool run_dense(const Shape& shape, std::mt19937& random) {
  const FloatType type = shape.bits == 0    ? FloatType::kF32
                         : shape.bits == 16 ? FloatType::kF16
                                            : FloatType::kBF16;
  const std::size_t size = type == FloatType::kF32 ? 4 : 2;
  const auto weights = static_cast<std::size_t>(shape.n * shape.k);
  Aligned<std::uint8_t> data(weights * size);
  std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
  for (std::size_t i = 0; i < weights; ++i) {
    const float value = uniform(random);
    const std::uint16_t half =
        type == FloatType::kF16 ? float_to_half(value) : float_to_bfloat(value);
    std::memcpy(data.data() + i * size, size == 4 ? static_cast<const void*>(&value) : &half, size);
  }
  Aligned<float> x(static_cast<std::size_t>(shape.rows * shape.k));
  for (float& value : x) value = uniform(random);
  const DenseWeight w{shape.n, shape.k, type, data.data()};
  Case c;
  c.name = size == 4 ? "dense f32 " : shape.bits == 16 ? "dense f16 " : "dense bf16 ";
  c.name += text_of(shape);
  c.operations = 2.0 * static_cast<double>(shape.n * shape.k * shape.rows);
  c.weight_bytes = static_cast<double>(data.bytes());
  c.work = [&](const LinearKernels& kernels, float* y) {
    kernels.dense(w, x.data(), shape.rows, shape.k, 0, shape.n, y, shape.n);
  };
  return run_case(c, shape.n * shape.rows);
}

bool run_grouped(const Shape& shape, std::mt19937& random) {
  GroupedWeight w;
  w.rows = shape.n;
  w.inputs = shape.k;
  w.bits = shape.bits;
  w.constant_zero = 1 << (shape.bits - 1);
  Aligned<std::uint8_t> codes(static_cast<std::size_t>(w.tiles() * w.blocks() * 64 * w.bits));
  for (std::uint8_t& code : codes) code = static_cast<std::uint8_t>(random());
  Aligned<std::uint16_t> scales(static_cast<std::size_t>(w.tiles() * w.groups() * kTileRows));
  std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
  for (std::uint16_t& scale : scales) scale = float_to_half(0.01f * uniform(random));
  w.codes = codes.data();
  w.scales = scales.data();
  Aligned<float> x(static_cast<std::size_t>(shape.rows * shape.k));
  for (float& value : x) value = uniform(random);
  Aligned<std::byte> memory(int8_rows_bytes(shape.rows, shape.k, 1));
  const Int8Rows rows = int8_rows_over(memory.data(), shape.rows, shape.k, 1);
  linear_kernels(Isa::kScalar).quantize_rows(x.data(), shape.k, 0, shape.rows, rows);
  Aligned<std::byte> scratch(linear_scratch_bytes(shape.rows, shape.k));
  const std::string size = text_of(shape);
  Case c;
  c.name = std::to_string(w.bits) + "-bit int8 " + size;
  c.operations = 2.0 * static_cast<double>(shape.n * shape.k * shape.rows);
  c.weight_bytes = static_cast<double>(codes.bytes() + scales.bytes());
  c.work = [&](const LinearKernels& kernels, float* y) {
    kernels.grouped_int8(w, rows, 0, w.tiles(), y, shape.n, scratch.data());
  };
  bool same = run_case(c, shape.n * shape.rows);
  if (shape.bits != 4) return same;
  c.name = std::to_string(w.bits) + "-bit f32 " + size;
  c.work = [&](const LinearKernels& kernels, float* y) {
    kernels.grouped_f32(w, x.data(), shape.rows, shape.k, 0, w.tiles(), y, shape.n, scratch.data());
  };
  same = run_case(c, shape.n * shape.rows) && same;
  c.name = "quantize " + size;
  c.operations = static_cast<double>(shape.k * shape.rows);
  c.weight_bytes = 4 * c.operations;
  const std::size_t cells = memory.bytes() / sizeof(float);
  c.work = [&](const LinearKernels& kernels, float* y) {
    const Int8Rows out = int8_rows_over(y, shape.rows, shape.k, 1);
    kernels.quantize_rows(x.data(), shape.k, 0, shape.rows, out);
  };
  return run_case(c, static_cast<std::int64_t>(cells)) && same;
}

bool run_matmul(std::int64_t size, std::mt19937& random) {
  const auto count = static_cast<std::size_t>(size * size);
  Aligned<float> a(count), b(count);
  std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
  for (float& value : a) value = uniform(random);
  for (float& value : b) value = uniform(random);
  Case c;
  c.name = "matmul " + std::to_string(size) + "^3";
  c.operations = 2.0 * static_cast<double>(size * size * size);
  c.weight_bytes = static_cast<double>(b.bytes());
  c.work = [&](const LinearKernels& kernels, float* y) {
    kernels.matmul(a.data(), size, b.data(), size, y, size, 0, size, size, size);
  };
  return run_case(c, size * size);
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<Shape> shapes;
  for (int i = 1; i + 2 < argc; i += 4) {
    shapes.push_back({std::atoll(argv[i]), std::atoll(argv[i + 1]), std::atoll(argv[i + 2]),
                      i + 3 < argc ? std::atoi(argv[i + 3]) : 4});
  }
  std::mt19937 random(7);
  bool same = true;
  if (shapes.empty()) {
    shapes = {{2048, 2048, 128, 4},   {1024, 5632, 128, 4}, {32768, 4096, 1, 4},
              {2048, 2048, 128, 2},   {2048, 2048, 128, 3}, {2048, 2048, 128, 8},
              {16384, 4096, 1, 8},    {1024, 2048, 128, 0}, {1024, 2048, 128, 16},
              {1024, 2048, 128, -16}, {16384, 4096, 1, 0},  {16384, 4096, 1, 16},
              {16384, 4096, 1, -16}};
    same = run_matmul(512, random);
  }
  std::printf("plain read: %.2f GB/s\n", read_bandwidth());
  for (const Shape& shape : shapes) {
    same = (shape.bits >= 2 && shape.bits <= 8 ? run_grouped(shape, random)
                                               : run_dense(shape, random)) &&
           same;
  }
  std::printf("plain read: %.2f GB/s\n", read_bandwidth());
  return same ? 0 : 1;
}
