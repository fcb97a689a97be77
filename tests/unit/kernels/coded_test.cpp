// Kernels on codes: every variant against the definition in coded.h.

#include "kernels/coded.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "unit/catch.h"

namespace thimble::kernels {
namespace {

using Bytes = std::vector<std::uint8_t>;
using Weights = std::vector<std::int8_t>;
constexpr std::uint8_t kUntouched = 77;

std::vector<const CodedKernels*> runnable() {
  std::vector<const CodedKernels*> out;
  for (const CodedKernels* variant : coded_variants()) {
    const Isa isa = variant->isa;
    if (cpu_has(isa)) out.push_back(variant);
  }
  return out;
}

std::size_t natural(std::int64_t n) { return static_cast<std::size_t>(n); }

template <class T>
std::vector<T> random_bytes(std::int64_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<T> out(natural(count));
  for (T& x : out) x = static_cast<T>(random() >> 7);
  return out;
}

// Offsets and factors that spread sums of `inputs` products over the codes, ends among them.
struct Parameters {
  std::vector<std::int32_t> offset;
  std::vector<float> factor;
  Requantize to;

  Parameters(std::int64_t outputs, std::int64_t inputs) {
    for (std::int64_t o = 0; o < outputs; ++o) {
      offset.push_back(static_cast<std::int32_t>(o * 1000 - 3000));
      factor.push_back(0.013f / std::sqrt(static_cast<float>(inputs)) *
                       (1 + static_cast<float>(o % 7)));
    }
    to = {offset.data(), factor.data(), 100, 3, 250};
  }
  std::uint8_t code(std::int32_t sum, std::int64_t o) const {
    const float scaled = static_cast<float>(sum + offset[natural(o)]) * factor[natural(o)];
    const auto low = static_cast<float>(to.low - to.zero);
    const auto high = static_cast<float>(to.high - to.zero);
    return static_cast<std::uint8_t>(std::nearbyint(std::min(std::max(scaled, low), high)) +
                                     static_cast<float>(to.zero));
  }
};

struct Case {
  std::int64_t inputs, outputs, rows;
};

TEST_CASE("products of codes are exact and rounded as defined") {
  for (const Case& c :
       {Case{1, 1, 1}, Case{64, 16, 8}, Case{100, 40, 13}, Case{576, 33, 50}, Case{130, 64, 33},
        Case{200, 7, 5}, Case{64, 96, 70}, Case{1300, 40, 71}, Case{2600, 20, 71}}) {
    const std::int64_t padded = coded_row_bytes(c.inputs), stride = padded + 3,
                       y_stride = c.outputs + 2;
    Weights w = random_bytes<std::int8_t>(c.outputs * c.inputs, 1);
    Bytes x = random_bytes<std::uint8_t>(c.rows * stride, 2);
    std::fill_n(w.begin(), c.inputs, std::int8_t{-128});  // the largest sums
    std::fill_n(x.begin(), stride, std::uint8_t{255});
    for (std::int64_t m = 0; m < c.rows; ++m)
      std::fill_n(x.begin() + m * stride + c.inputs, padded - c.inputs, std::uint8_t{0});
    Weights packed(natural(coded_bytes(c.outputs, c.inputs)));
    pack_coded(w.data(), c.outputs, c.inputs, packed.data());
    const Parameters p(c.outputs, c.inputs);
    Bytes want(natural(c.rows * y_stride), kUntouched);
    for (std::int64_t m = 0; m < c.rows; ++m) {
      for (std::int64_t n = 0; n < c.outputs; ++n) {
        std::int32_t sum = 0;
        for (std::int64_t k = 0; k < c.inputs; ++k)
          sum += w[natural(n * c.inputs + k)] * x[natural(m * stride + k)];
        want[natural(m * y_stride + n)] = p.code(sum, n);
      }
    }
    for (const CodedKernels* kernels : runnable()) {
      INFO(isa_name(kernels->isa) << " " << c.inputs << " " << c.outputs << " " << c.rows);
      Bytes y(want.size(), kUntouched);
      kernels->multiply(packed.data(), c.inputs, x.data(), stride, c.rows, c.outputs, p.to,
                        y.data(), y_stride);
      CHECK(y == want);
    }
  }
}

TEST_CASE("products of codes become floats as defined, with zeros of the weights and a bias") {
  for (const Case& c :
       {Case{1, 1, 1}, Case{64, 16, 8}, Case{100, 40, 13}, Case{384, 33, 50}, Case{2570, 24, 70}}) {
    const std::int64_t stride = coded_row_bytes(c.inputs), y_stride = c.outputs + 2;
    const Weights w = random_bytes<std::int8_t>(c.outputs * c.inputs, 7);
    const Bytes x = random_bytes<std::uint8_t>(c.rows * stride, 8);  // the weight's padding is 0
    Weights packed(natural(coded_bytes(c.outputs, c.inputs)));
    pack_coded(w.data(), c.outputs, c.inputs, packed.data());
    const Parameters p(c.outputs, c.inputs);
    std::vector<float> bias;
    std::vector<std::int32_t> zeros, x_sums;
    for (std::int64_t n = 0; n < c.outputs; ++n) {
      bias.push_back(0.3f * static_cast<float>(n % 5) - 1);
      zeros.push_back(static_cast<std::int32_t>(n % 11) - 5);
    }
    for (std::int64_t m = 0; m < c.rows; ++m) x_sums.push_back(static_cast<std::int32_t>(m * 7777));
    for (const bool more : {false, true}) {
      const Dequantize to{p.offset.data(), p.factor.data(), more ? bias.data() : nullptr,
                          more ? zeros.data() : nullptr, more ? x_sums.data() : nullptr};
      std::vector<float> want(natural(c.rows * y_stride), -3.0f);
      for (std::int64_t m = 0; m < c.rows; ++m) {
        for (std::int64_t n = 0; n < c.outputs; ++n) {
          std::int32_t sum = p.offset[natural(n)];
          for (std::int64_t k = 0; k < c.inputs; ++k)
            sum += w[natural(n * c.inputs + k)] * x[natural(m * stride + k)];
          if (more) sum -= zeros[natural(n)] * x_sums[natural(m)];
          const float scaled = static_cast<float>(sum) * p.factor[natural(n)];
          want[natural(m * y_stride + n)] = more ? scaled + bias[natural(n)] : scaled;
        }
      }
      for (const CodedKernels* kernels : runnable()) {
        INFO(isa_name(kernels->isa) << " " << c.inputs << " " << c.outputs << " " << c.rows);
        std::vector<float> y(want.size(), -3.0f);
        kernels->multiply_to_floats(packed.data(), c.inputs, x.data(), stride, c.rows, c.outputs,
                                    to, y.data(), y_stride);
        CHECK(y == want);
      }
    }
  }
}

TEST_CASE("the range of floats passes over what is no number") {
  for (const std::int64_t count : {0, 3, 16, 50}) {
    std::vector<float> x;
    for (std::int64_t i = 0; i < count; ++i)
      x.push_back(std::sin(static_cast<float>(i * i)) * static_cast<float>(i));
    if (count > 2) x[2] = std::numeric_limits<float>::quiet_NaN();
    float low = 0, high = 0;
    for (const float v : x) {
      if (v < low) low = v;
      if (v > high) high = v;
    }
    for (const CodedKernels* kernels : runnable()) {
      INFO(isa_name(kernels->isa) << " " << count);
      float least = 0, most = 0;
      kernels->widen_range(x.data(), count, least, most);
      CHECK(least == low);
      CHECK(most == high);
    }
  }
}

TEST_CASE("taps of codes are summed by channel, and the largest is found") {
  for (const std::int64_t channels : {1, 16, 45, 64}) {
    const std::int64_t taps = 9;
    const Weights w = random_bytes<std::int8_t>(taps * channels, 3);
    const Bytes x = random_bytes<std::uint8_t>(taps * channels, 4);
    std::vector<const std::uint8_t*> rows;
    for (std::int64_t t = 0; t < taps; ++t) rows.push_back(x.data() + t * channels);
    const Parameters p(channels, taps);
    Bytes sums, most;
    for (std::int64_t c = 0; c < channels; ++c) {
      std::int32_t sum = 0;
      std::uint8_t top = 0;
      for (std::int64_t t = 0; t < taps; ++t) {
        sum += w[natural(t * channels + c)] * rows[natural(t)][c];
        top = std::max(top, rows[natural(t)][c]);
      }
      sums.push_back(p.code(sum, c));
      most.push_back(top);
    }
    for (const CodedKernels* kernels : runnable()) {
      INFO(isa_name(kernels->isa) << " " << channels);
      Bytes y(natural(channels));
      kernels->taps(rows.data(), w.data(), channels, taps, channels, p.to, y.data());
      CHECK(y == sums);
      kernels->most(rows.data(), taps, channels, y.data());
      CHECK(y == most);
    }
  }
}

TEST_CASE("codes come from floats, go back and mix alike on every machine") {
  const std::int64_t count = 37;
  const Bytes a = random_bytes<std::uint8_t>(count, 5), b = random_bytes<std::uint8_t>(count, 6);
  const Mixture m{0.73f, -0.41f, 17.3f, 90, 10, 240};
  std::vector<float> x;
  for (std::int64_t i = 0; i < count; ++i) x.push_back(static_cast<float>(i - 18) * 0.25f);
  x[3] = std::numeric_limits<float>::quiet_NaN();
  x[4] = std::numeric_limits<float>::infinity();
  x[5] = -x[4];
  Bytes mixed, codes;
  std::vector<float> floats;
  for (std::size_t i = 0; i < natural(count); ++i) {
    const float sum = static_cast<float>(a[i]) * m.a_factor + static_cast<float>(b[i]) * m.b_factor;
    mixed.push_back(
        static_cast<std::uint8_t>(std::nearbyint(std::clamp(sum + m.shift, -80.0f, 150.0f)) + 90));
    const float code = std::nearbyint(std::clamp(x[i] / 0.03f, -128.0f, 127.0f));
    codes.push_back(std::isnan(code) ? std::uint8_t{0} : static_cast<std::uint8_t>(code + 128));
    floats.push_back((static_cast<float>(a[i]) - 128) * 0.03f);
  }
  for (const CodedKernels* kernels : runnable()) {
    INFO(isa_name(kernels->isa));
    Bytes y(natural(count));
    kernels->mix(a.data(), b.data(), count, m, y.data());
    CHECK(y == mixed);
    kernels->encode(x.data(), count, 0.03f, 128, y.data());
    CHECK(y == codes);
    std::vector<float> back(natural(count));
    kernels->decode(a.data(), count, 0.03f, 128, back.data());
    CHECK(back == floats);
  }
}

}  // namespace
}  // namespace thimble::kernels
