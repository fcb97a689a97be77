#pragma once
// The contract of kernels/linear.h in the plainest words, with nothing of the library but the
// views: what every variant must give, bit for bit.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernels/linear.h"
#include "support/half.h"

namespace thimble::kernels::test {

// Vectors that start at a cache line, as streams must.
template <class T>
class Aligned {
 public:
  explicit Aligned(std::size_t count = 0) : memory_(count * sizeof(T) + 64), count_(count) {}
  T* data() {
    const auto at = reinterpret_cast<std::uintptr_t>(memory_.data());
    return reinterpret_cast<T*>(memory_.data() + (64 - at % 64) % 64);
  }
  std::size_t size() const { return count_; }

 private:
  std::vector<std::uint8_t> memory_;
  std::size_t count_;
};

struct Layout {
  std::int64_t n, k;
  int bits;
  std::int64_t group;
  FloatType scales;
  ZeroKind zero;
  std::int64_t super_size = 0;
  int sub_bits = 0;
  bool table = false;
};

// A random weight: canonical codes, scales and zeros as f32 (exact in their type), and the packed
// streams.
struct TestWeight {
  Layout layout;
  std::vector<std::uint8_t> codes;   // [tiles * 16][K]
  std::vector<float> scales, zeros;  // [tiles][groups][16]
  std::vector<std::uint8_t> points;
  std::int8_t table[kTableEntries];
  Aligned<std::uint8_t> packed, packed_scales, packed_zeros, packed_subs, packed_sub_minima;
  GroupedWeight view;

  float scale(std::int64_t row, std::int64_t input) const { return scales[at(row, input)]; }
  std::size_t at(std::int64_t row, std::int64_t input) const {
    const std::int64_t group = layout.group >= layout.k ? 0 : input / layout.group;
    return static_cast<std::size_t>((row / 16 * view.groups() + group) * 16 + row % 16);
  }
  int code(std::int64_t row, std::int64_t input) const {
    const int stored = codes[static_cast<std::size_t>(row * layout.k + input)];
    return layout.table ? table[stored] : stored;
  }
  int zero_of(std::int64_t row, std::int64_t input) const {
    if (layout.zero == ZeroKind::kPoints) return points[at(row, input)];
    return layout.zero == ZeroKind::kConstant && !layout.table ? view.constant_zero : 0;
  }
};

inline float rounded(float value, FloatType type) {
  if (type == FloatType::kF16) return half_to_float(float_to_half(value));
  if (type == FloatType::kBF16) return bfloat_to_float(float_to_bfloat(value));
  return value;
}

inline Aligned<std::uint8_t> stored(const std::vector<float>& values, FloatType type) {
  const std::size_t size = type == FloatType::kF32 ? 4 : 2;
  Aligned<std::uint8_t> out(values.size() * size);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint16_t half =
        type == FloatType::kF16 ? float_to_half(values[i]) : float_to_bfloat(values[i]);
    std::memcpy(out.data() + i * size, size == 4 ? static_cast<const void*>(&values[i]) : &half,
                size);
  }
  return out;
}

// What a scale of a byte stands for.
inline float byte_scale(std::uint8_t byte, FloatType type, int exponent) {
  if (type == FloatType::kE8M0) return byte == 0 ? 0.0f : std::ldexp(1.0f, byte - 127);
  const int power = byte >> 3 & 15, fraction = byte & 7;
  return power == 0 ? std::ldexp(static_cast<float>(fraction), exponent - 9)
                    : std::ldexp(static_cast<float>(8 + fraction), power - 10 + exponent);
}

// Scales of a byte in place of those that make_weight drew.
inline void make_byte_scales(std::mt19937& random, TestWeight& w) {
  const FloatType type = w.layout.scales;
  w.view.scale_exponent = type == FloatType::kE4M3 ? -3 : 0;
  w.packed_scales = Aligned<std::uint8_t>(w.scales.size());
  for (std::size_t i = 0; i < w.scales.size(); ++i) {
    const std::uint32_t draw = random();
    const auto byte = static_cast<std::uint8_t>(draw % 8 == 0              ? 0
                                                : type == FloatType::kE8M0 ? 110 + (draw >> 8) % 30
                                                                           : (draw >> 8) % 128);
    w.packed_scales.data()[i] = byte;
    w.scales[i] = byte_scale(byte, type, w.view.scale_exponent);
  }
}

// Sub-scales [tiles][groups][16] as the header lays them out.
inline Aligned<std::uint8_t> packed_sub_scales(const std::vector<std::uint8_t>& subs,
                                               const GroupedWeight& w) {
  const auto groups = static_cast<std::size_t>(w.groups());
  const auto vectors = static_cast<std::size_t>(w.sub_vectors());
  Aligned<std::uint8_t> out(static_cast<std::size_t>(w.tiles()) * vectors * 16);
  for (std::size_t i = 0; i < subs.size(); ++i) {
    const std::size_t tile = i / (groups * 16), g = i / 16 % groups, row = i % 16;
    std::uint8_t* base = out.data() + tile * vectors * 16 + row;
    if (w.sub_bits == 8) {
      base[g * 16] = subs[i];
      continue;
    }
    base[g / 2 * 16] = static_cast<std::uint8_t>(base[g / 2 * 16] | (subs[i] & 15) << g % 2 * 4);
    if (w.sub_bits == 4) continue;
    std::uint8_t& high = base[((groups + 1) / 2 + g / 4) * 16];
    high = static_cast<std::uint8_t>(high | subs[i] >> 4 << g % 4 * 2);
  }
  return out;
}

// Scales and minima of super-blocks in place of those that make_weight drew.
inline void make_super_blocks(std::mt19937& random, TestWeight& w) {
  w.view.super_size = w.layout.super_size;
  w.view.sub_bits = w.layout.sub_bits;
  w.view.sub_zero = static_cast<int>(random() % (1u << w.layout.sub_bits));
  const auto groups = static_cast<std::size_t>(w.view.groups());
  const auto supers = static_cast<std::size_t>(w.view.supers());
  std::vector<float> scales, zeros;
  std::vector<std::uint8_t> subs, sub_minima;
  for (std::size_t i = 0; i < static_cast<std::size_t>(w.view.tiles()) * supers * 16; ++i) {
    scales.push_back(w.scales[i % w.scales.size()]);
    zeros.push_back(w.zeros[i % w.zeros.size()]);
  }
  for (std::size_t i = 0; i < w.scales.size(); ++i) {
    subs.push_back(static_cast<std::uint8_t>(random() % (1u << w.layout.sub_bits)));
    sub_minima.push_back(static_cast<std::uint8_t>(random() % (1u << w.layout.sub_bits)));
    const std::size_t tile = i / (groups * 16), g = i / 16 % groups;
    const std::size_t first = g * static_cast<std::size_t>(w.layout.group);
    const std::size_t super =
        (tile * supers + first / static_cast<std::size_t>(w.layout.super_size)) * 16 + i % 16;
    w.scales[i] = scales[super] * static_cast<float>(subs[i] - w.view.sub_zero);
    w.zeros[i] = -zeros[super] * static_cast<float>(sub_minima[i]);
  }
  w.packed_scales = stored(scales, w.layout.scales);
  if (w.layout.zero == ZeroKind::kMinima) w.packed_zeros = stored(zeros, w.layout.scales);
  w.packed_subs = packed_sub_scales(subs, w.view);
  w.packed_sub_minima = packed_sub_scales(sub_minima, w.view);
  w.view.sub_scales = w.packed_subs.data();
  if (w.layout.zero == ZeroKind::kMinima) w.view.sub_minima = w.packed_sub_minima.data();
}

inline void make_weight(const Layout& layout, std::mt19937& random, TestWeight& w) {
  w.layout = layout;
  w.view = {layout.n, layout.k, layout.bits, layout.group, layout.scales, layout.zero};
  w.view.constant_zero = static_cast<int>(random() % (1u << layout.bits));
  const auto rows = static_cast<std::size_t>(w.view.tiles() * 16),
             k = static_cast<std::size_t>(layout.k);
  w.codes.assign(rows * k, 0);
  for (std::size_t i = 0; i < static_cast<std::size_t>(layout.n) * k; ++i) {
    // The extremes often: they are what overflows.
    const std::uint32_t draw = random();
    const std::uint32_t top = (1u << layout.bits) - 1;
    w.codes[i] = static_cast<std::uint8_t>(draw % 4 == 0   ? top
                                           : draw % 4 == 1 ? 0
                                                           : (draw >> 8) & top);
  }
  w.packed = Aligned<std::uint8_t>(
      static_cast<std::size_t>(w.view.tiles() * w.view.blocks() * 64 * layout.bits));
  for (std::int64_t tile = 0; tile < w.view.tiles(); ++tile) {
    pack_tile(w.codes.data() + static_cast<std::size_t>(tile) * 16 * k, layout.k, layout.bits,
              w.packed.data() + tile * w.view.blocks() * 64 * layout.bits);
  }
  const auto cells = static_cast<std::size_t>(w.view.tiles() * w.view.groups() * 16);
  std::uniform_real_distribution<float> uniform(-0.1f, 0.1f);
  w.scales.resize(cells);
  w.zeros.resize(cells);
  w.points.resize(cells);
  for (std::size_t i = 0; i < cells; ++i) {
    w.scales[i] = rounded(uniform(random), layout.scales);
    w.zeros[i] = rounded(uniform(random), layout.scales);
    w.points[i] = static_cast<std::uint8_t>(random() % (1u << layout.bits));
  }
  w.packed_scales = stored(w.scales, layout.scales);
  w.packed_zeros = Aligned<std::uint8_t>(cells);
  std::memcpy(w.packed_zeros.data(), w.points.data(), cells);
  if (layout.zero == ZeroKind::kMinima) w.packed_zeros = stored(w.zeros, layout.scales);
  if (layout.super_size > 0) make_super_blocks(random, w);
  if (bytes_of(layout.scales) == 1) make_byte_scales(random, w);
  for (std::int8_t& entry : w.table) entry = static_cast<std::int8_t>(random() % 256 - 128);
  w.table[0] = -128, w.table[(1 << layout.bits) % 16] = 127;
  if (layout.table) w.view.table = w.table;
  w.view.codes = w.packed.data();
  w.view.scales = w.packed_scales.data();
  if (layout.zero != ZeroKind::kConstant) w.view.zeros = w.packed_zeros.data();
}

// One row of activations, quantized.
struct QuantizedRow {
  std::vector<int> q[2];
  std::vector<float> scales;
  bool one_scale = false;
};

inline QuantizedRow quantize(const float* x, std::int64_t k, bool one_scale = false) {
  QuantizedRow row;
  row.one_scale = one_scale;
  for (std::int64_t begin = 0; begin < k; begin += 32) {
    const std::int64_t end = std::min(begin + 32, k);
    float top = 0;
    for (std::int64_t i = one_scale ? 0 : begin; i < (one_scale ? k : end); ++i)
      top = std::max(top, std::fabs(x[i]));
    const bool zero = top < 0x1p-100f;
    const float step = zero ? 0 : top / 127.0f, inverse = zero ? 0 : 127.0f / top;
    row.scales.push_back(step);
    for (std::int64_t i = begin; i < begin + 32; ++i) {
      const float value = i < end ? x[i] : 0.0f;
      const float first = std::nearbyint(value * inverse);
      const float product = first * step;
      const float rest = value - product;
      const float second = std::nearbyint(rest * (inverse * 254.0f));
      row.q[0].push_back(static_cast<int>(first));
      row.q[1].push_back(static_cast<int>(std::min(std::max(second, -127.0f), 127.0f)));
    }
  }
  return row;
}

// One output of a row, as the contract of grouped_int8 says.
inline float int8_product(const TestWeight& w, const QuantizedRow& x, int planes,
                          std::int64_t row) {
  const Layout& l = w.layout;
  if (x.one_scale && l.bits == 8 && l.group >= l.k && l.zero == ZeroKind::kConstant) {
    std::int64_t dot = 0;
    for (std::int64_t i = 0; i < l.k; ++i)
      dot += static_cast<std::int64_t>(w.code(row, i) - w.zero_of(row, i)) *
             x.q[0][static_cast<std::size_t>(i)];
    const float scale = w.scale(row, 0) * x.scales[0];
    return static_cast<float>(dot) * scale;
  }
  const std::int64_t step = w.layout.group == 16 ? 16 : 32;
  float y = 0;
  for (std::int64_t begin = 0; begin < w.layout.k; begin += step) {
    for (int plane = 0; plane < planes; ++plane) {
      std::int64_t dot = 0, sum = 0;
      for (std::int64_t i = begin; i < std::min(begin + step, w.layout.k); ++i) {
        const int q = x.q[plane][static_cast<std::size_t>(i)];
        dot += static_cast<std::int64_t>(w.code(row, i) - w.zero_of(row, i)) * q;
        sum += q;
      }
      float scale_x = x.scales[static_cast<std::size_t>(begin / 32)];
      if (plane == 1) scale_x = scale_x * (1.0f / 254);
      const float scale = w.scale(row, begin) * scale_x;
      y = std::fma(static_cast<float>(dot), scale, y);
      if (w.layout.zero != ZeroKind::kMinima) continue;
      const float weighted = scale_x * static_cast<float>(sum);
      y = std::fma(w.zeros[w.at(row, begin)], weighted, y);
    }
  }
  return y;
}

inline float decoded(const TestWeight& w, std::int64_t row, std::int64_t input) {
  const auto code = static_cast<float>(w.code(row, input) - w.zero_of(row, input));
  if (w.layout.zero == ZeroKind::kMinima)
    return std::fma(w.scale(row, input), code, w.zeros[w.at(row, input)]);
  return w.scale(row, input) * code;
}

inline float f32_product(const TestWeight& w, const float* x, std::int64_t row) {
  float y = 0;
  for (std::int64_t i = 0; i < w.layout.k; ++i) y = std::fma(decoded(w, row, i), x[i], y);
  return y;
}

// 16 lanes, folded 8, 4, 2, 1.
inline float dense_product(const float* w, const float* x, std::int64_t k) {
  float lanes[16] = {};
  for (std::int64_t i = 0; i < k; ++i) lanes[i % 16] = std::fma(w[i], x[i], lanes[i % 16]);
  for (int width = 8; width > 0; width /= 2) {
    for (int lane = 0; lane < width; ++lane) lanes[lane] = lanes[lane] + lanes[lane + width];
  }
  return lanes[0];
}

// Where two arrays differ first, or "".
inline std::string first_difference(const std::vector<float>& got, const std::vector<float>& want) {
  for (std::size_t i = 0; i < want.size(); ++i) {
    if (std::memcmp(&got[i], &want[i], sizeof(float)) != 0) {
      return "[" + std::to_string(i) + "] is " + std::to_string(got[i]) + ", not " +
             std::to_string(want[i]);
    }
  }
  return "";
}

inline std::vector<float> random_floats(std::size_t count, std::mt19937& random) {
  std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
  std::vector<float> out(count);
  for (float& value : out) value = uniform(random);
  return out;
}

}  // namespace thimble::kernels::test
