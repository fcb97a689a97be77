#include "quant/quantize.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "quant/decode.h"
#include "quant/error_metrics.h"
#include "support/half.h"
#include "unit/catch.h"
#include "unit/quant/weights.h"

using namespace thimble;
using namespace thimble::quant;
using test::affine;
using test::Group;

namespace {

constexpr ir::ZeroKind kAllZeros[] = {ir::ZeroKind::kConstant, ir::ZeroKind::kPoints,
                                      ir::ZeroKind::kMinima};

ir::Rows quantize(const std::vector<float>& weights, std::int64_t rows, const ir::Encoding& e,
                  Search search, std::vector<float> importance = {}) {
  ir::Rows out;
  SearchOptions options;
  options.search = search;
  options.importance = std::move(importance);
  const auto inputs = static_cast<std::int64_t>(weights.size()) / rows;
  REQUIRE(quantize_rows({weights, rows, inputs}, e, options, out).has_value());
  REQUIRE(out.count == rows);
  return out;
}

Group group_of(const ir::Encoding& e, const ir::Rows& rows, std::size_t at) {
  return {rows.scales[at],
          e.zero == ir::ZeroKind::kPoints ? rows.zero_points[at] : double(e.constant_zero),
          e.zero == ir::ZeroKind::kMinima ? rows.minima[at] : 0.0};
}

// The squared error of every group, in f64 from the streams' definition.
std::vector<double> group_errors(const std::vector<float>& weights, std::int64_t row_count,
                                 const ir::Encoding& e, const ir::Rows& rows) {
  const std::int64_t inputs = static_cast<std::int64_t>(weights.size()) / row_count;
  const std::int64_t groups = e.groups(inputs), size = groups == 1 ? inputs : e.group_size;
  std::vector<double> errors(static_cast<std::size_t>(row_count * groups));
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const auto row = static_cast<std::int64_t>(i) / inputs,
               k = static_cast<std::int64_t>(i) % inputs;
    const auto at = static_cast<std::size_t>(row * groups + k / size);
    const double d = weights[i] - group_of(e, rows, at).value(rows.codes[i]);
    errors[at] += d * d;
  }
  return errors;
}

double total(const std::vector<double>& errors) {
  double sum = 0;
  for (const double e : errors) sum += e;
  return sum;
}

// The least error of one symmetric group over a fine grid of scales of both signs, each refitted,
// in f64.
double brute_force(const float* w, int n, int bits) {
  const double low = -(1 << (bits - 1)), high = -low - 1;
  double absmax = 0, best = std::numeric_limits<double>::infinity();
  for (int k = 0; k < n; ++k) absmax = std::max(absmax, std::fabs(double(w[k])));
  for (int step = 0; step < 600; ++step) {
    for (const double sign : {-1.0, 1.0}) {
      double scale = sign * absmax / (-low * (0.3 + 0.004 * step));
      for (int refit = 0; refit < 2; ++refit) {
        scale = half_to_float(float_to_half(static_cast<float>(scale)));
        double error = 0, wp = 0, pp = 0;
        for (int k = 0; k < n; ++k) {
          const double p = std::clamp(std::nearbyint(w[k] / scale), low, high);
          error += (w[k] - scale * p) * (w[k] - scale * p);
          wp += w[k] * p, pp += p * p;
        }
        best = std::min(best, error);
        if (pp == 0) break;
        scale = wp / pp;
      }
    }
  }
  return best;
}

}  // namespace

TEST_CASE("codes are in range, nearest to their weights, and scales are what their type can hold") {
  const std::int64_t rows = 19, inputs = 150;
  const std::vector<float> w = test::heavy_tailed(rows * inputs, 1);
  for (const auto zero : kAllZeros) {
    for (int bits = 2; bits <= 8; ++bits) {
      for (const std::int64_t size : {16, 32, 256, 0}) {
        for (const auto search : {Search::kAbsmax, Search::kMse}) {
          const ir::Encoding e = affine(bits, size, zero);
          const ir::Rows out = quantize(w, rows, e, search);
          INFO(e.to_string());
          bool good = true;
          for (const float s : out.scales) good = good && half_to_float(float_to_half(s)) == s;
          for (const float m : out.minima) good = good && half_to_float(float_to_half(m)) == m;
          const int top = (1 << bits) - 1;
          for (std::size_t i = 0; i < w.size(); ++i) {
            const auto row = i / inputs, k = i % inputs;
            const auto groups = static_cast<std::size_t>(e.groups(inputs));
            const std::size_t group = groups == 1 ? 0 : k / static_cast<std::size_t>(size);
            const Group g = group_of(e, out, row * groups + group);
            const int code = out.codes[i];
            good = good && code <= top;
            const double error = std::fabs(w[i] - g.value(code)), slack = 1e-5 * std::fabs(g.scale);
            if (code > 0) good = good && error <= std::fabs(w[i] - g.value(code - 1)) + slack;
            if (code < top) good = good && error <= std::fabs(w[i] - g.value(code + 1)) + slack;
          }
          CHECK(good);
        }
      }
    }
  }
}

TEST_CASE("decoding gives what the streams mean") {
  const std::vector<float> w = test::heavy_tailed(4 * 70, 2);
  for (const auto zero : kAllZeros) {
    const ir::Encoding e = affine(4, 32, zero);
    const ir::Rows out = quantize(w, 4, e, Search::kMse);
    std::vector<float> decoded(w.size());
    REQUIRE(decode_rows(e, out, 4, 70, decoded.data()).has_value());
    for (std::size_t i = 0; i < w.size(); ++i) {
      const Group g = group_of(e, out, i / 70 * 3 + i % 70 / 32);
      CHECK(decoded[i] == Approx(g.value(out.codes[i])).epsilon(1e-6).margin(1e-9));
    }
  }
}

TEST_CASE("the search never does worse than the extremes, in any group") {
  const std::int64_t rows = 64, inputs = 300;
  const std::vector<float> w = test::heavy_tailed(rows * inputs, 3);
  for (const auto zero : kAllZeros) {
    for (int bits = 2; bits <= 8; ++bits) {
      for (const std::int64_t size : {16, 64, 0}) {
        const ir::Encoding e = affine(bits, size, zero);
        INFO(e.to_string());
        const auto plain = group_errors(w, rows, e, quantize(w, rows, e, Search::kAbsmax));
        const auto best = group_errors(w, rows, e, quantize(w, rows, e, Search::kMse));
        bool good = true;
        for (std::size_t i = 0; i < plain.size(); ++i)
          good = good && best[i] <= plain[i] * (1 + 1e-4);
        CHECK(good);
        if (bits <= 4) CHECK(total(best) < total(plain) * 0.98);
      }
    }
  }
}

TEST_CASE("the search comes near the best there is") {
  const std::int64_t rows = 64;
  for (const int bits : {2, 3, 4, 5}) {
    for (const int n : {32, 128}) {
      const std::vector<float> w = test::heavy_tailed(rows * n, 4);
      const ir::Encoding e = affine(bits, n, ir::ZeroKind::kConstant);
      double best = 0;
      for (std::int64_t row = 0; row < rows; ++row)
        best += brute_force(w.data() + row * n, n, bits);
      const double found = total(group_errors(w, rows, e, quantize(w, rows, e, Search::kMse)));
      INFO("bits " << bits << " n " << n << " found " << found << " best " << best);
      CHECK(found >= best * 0.999);
      CHECK(found <= best * 1.06);
    }
  }
}

TEST_CASE("weights on the grid come out exactly") {
  Rng rng(5, "grid");
  const std::int64_t rows = 20, inputs = 64;
  for (const auto zero : kAllZeros) {
    for (int bits = 2; bits <= 8; ++bits) {
      for (const auto search : {Search::kAbsmax, Search::kMse}) {
        const ir::Encoding e = affine(bits, 32, zero);
        const int top = (1 << bits) - 1;
        // Symmetric without a search reaches as far up as down.
        const int least = zero == ir::ZeroKind::kConstant && search == Search::kAbsmax ? 1 : 0;
        std::vector<float> w;
        for (std::int64_t i = 0; i < rows * inputs; ++i) {
          const auto group = static_cast<std::uint64_t>(i / 32);
          const float scale = static_cast<float>(1 + group % 7) * 0x1p-9f;
          const int point =
              zero == ir::ZeroKind::kPoints ? static_cast<int>(group % top) : e.constant_zero;
          const float minimum =
              zero == ir::ZeroKind::kMinima ? static_cast<float>(group % 5) * -0x1p-4f : 0;
          int code =
              least + static_cast<int>(rng.below(static_cast<std::uint64_t>(top - least + 1)));
          if (i % 32 == 3) code = least;
          if (i % 32 == 9) code = top;
          w.push_back(scale * static_cast<float>(code - point) + minimum);
        }
        std::vector<float> decoded(w.size());
        REQUIRE(
            decode_rows(e, quantize(w, rows, e, search), rows, inputs, decoded.data()).has_value());
        INFO(e.to_string());
        CHECK(decoded == w);
      }
    }
  }
}

TEST_CASE("a row's result is its own") {
  const std::int64_t rows = 37, inputs = 70;
  const std::vector<float> w = test::heavy_tailed(rows * inputs, 6);
  for (const auto zero : kAllZeros) {
    const ir::Encoding e = affine(4, 32, zero);
    const ir::Rows all = quantize(w, rows, e, Search::kMse);
    for (const std::int64_t row : {0, 15, 16, 36}) {
      const std::vector<float> one(w.begin() + row * inputs, w.begin() + (row + 1) * inputs);
      const ir::Rows alone = quantize(one, 1, e, Search::kMse);
      CHECK(std::equal(alone.codes.begin(), alone.codes.end(), all.codes.begin() + row * inputs));
      CHECK(std::equal(alone.scales.begin(), alone.scales.end(), all.scales.begin() + row * 3));
    }
  }
}

TEST_CASE("groups of zeros, of one number, and no inputs at all") {
  for (const auto search : {Search::kAbsmax, Search::kMse}) {
    const std::vector<float> zeros(32, 0.0f), same(32, 0.125f), single = {-0.75f};
    ir::Encoding e = affine(4, 32, ir::ZeroKind::kConstant);
    ir::Rows out = quantize(zeros, 1, e, search);
    CHECK(out.scales[0] == 0);
    CHECK(std::all_of(out.codes.begin(), out.codes.end(), [](int code) { return code == 8; }));
    for (const auto zero : kAllZeros) {
      e = affine(4, 32, zero);
      std::vector<float> decoded(32);
      REQUIRE(decode_rows(e, quantize(zeros, 1, e, search), 1, 32, decoded.data()).has_value());
      CHECK(decoded == zeros);
      REQUIRE(decode_rows(e, quantize(same, 1, e, search), 1, 32, decoded.data()).has_value());
      for (const float d : decoded) CHECK(d == Approx(0.125f).epsilon(0.002));
      REQUIRE(decode_rows(e, quantize(single, 1, e, search), 1, 1, decoded.data()).has_value());
      CHECK(decoded[0] == Approx(-0.75f).epsilon(0.002));
      CHECK(quantize({}, 1, e, search).codes.empty());
    }
  }
}

TEST_CASE("numbers that are not finite are refused by row") {
  std::vector<float> w = test::heavy_tailed(3 * 40, 7);
  for (const float bad : {std::numeric_limits<float>::infinity(), std::nanf("")}) {
    w[85] = bad;
    ir::Rows out;
    const Status status =
        quantize_rows({w, 3, 40}, affine(4, 32, ir::ZeroKind::kConstant), {}, out);
    REQUIRE_FALSE(status.has_value());
    CHECK(status.error().message == "row 2 holds a weight that is not finite");
  }
}

TEST_CASE("scales beyond f16 are cut, and tiny ones kept") {
  for (const auto zero : kAllZeros) {
    const ir::Encoding e = affine(4, 32, zero);
    std::vector<float> huge(32), tiny(32), decoded(32);
    for (int i = 0; i < 32; ++i) {
      huge[static_cast<std::size_t>(i)] = static_cast<float>(i - 16) * 1e6f;
      tiny[static_cast<std::size_t>(i)] = static_cast<float>(i - 16) * 1e-8f;
    }
    const ir::Rows out = quantize(huge, 1, e, Search::kMse);
    CHECK(std::fabs(out.scales[0]) == 65504);
    const ir::Rows small = quantize(tiny, 1, e, Search::kMse);
    CHECK(small.scales[0] != 0);
    REQUIRE(decode_rows(e, small, 1, 32, decoded.data()).has_value());
    ErrorMetrics metrics;
    metrics.add(tiny, decoded);
    CHECK(metrics.relative_squared() < 0.1);
  }
  // Other types of scales have the range.
  std::vector<float> huge(32), decoded(32);
  for (std::size_t i = 0; i < 32; ++i) huge[i] = (static_cast<float>(i) - 16) * 1e6f;
  for (const auto type : {ir::DType::kBF16, ir::DType::kF32}) {
    const ir::Encoding e = affine(8, 32, ir::ZeroKind::kConstant, type);
    REQUIRE(decode_rows(e, quantize(huge, 1, e, Search::kMse), 1, 32, decoded.data()).has_value());
    ErrorMetrics metrics;
    metrics.add(huge, decoded);
    CHECK(metrics.sqnr_db() > 40);
  }
}

TEST_CASE("stored scales are the nearest that their type holds") {
  // One weight, absmax: its scale is |w| / 7 rounded, whatever the magnitude.
  for (int exponent = -30; exponent < 20; ++exponent) {
    for (int i = 0; i < 40; ++i) {
      const float w = std::ldexp(1.0f + static_cast<float>(i) * 0.02371f, exponent);
      for (const auto type : {ir::DType::kF16, ir::DType::kBF16}) {
        const ir::Rows out =
            quantize({w}, 1, affine(4, 32, ir::ZeroKind::kConstant, type), Search::kAbsmax);
        const float exact = w / 7;
        float nearest = type == ir::DType::kF16 ? half_to_float(float_to_half(exact))
                                                : bfloat_to_float(float_to_bfloat(exact));
        if (type == ir::DType::kF16) nearest = std::clamp(nearest, 0x1p-24f, 65504.0f);
        INFO(w);
        CHECK(out.scales[0] == nearest);
      }
    }
  }
}

TEST_CASE("importance moves the error to where it costs least") {
  const std::int64_t rows = 32, inputs = 64;
  const std::vector<float> w = test::heavy_tailed(rows * inputs, 8);
  std::vector<float> importance(inputs);
  for (std::size_t k = 0; k < importance.size(); ++k) importance[k] = k % 8 == 0 ? 50.0f : 1.0f;
  for (const auto zero : kAllZeros) {
    const ir::Encoding e = affine(3, 64, zero);
    const auto cost = [&](const ir::Rows& out) {
      std::vector<float> decoded(w.size());
      REQUIRE(decode_rows(e, out, rows, inputs, decoded.data()).has_value());
      double sum = 0;
      for (std::size_t i = 0; i < w.size(); ++i)
        sum += importance[i % inputs] * std::pow(w[i] - decoded[i], 2.0);
      return sum;
    };
    CHECK(cost(quantize(w, rows, e, Search::kMse, importance)) <
          0.97 * cost(quantize(w, rows, e, Search::kMse)));
  }
}

TEST_CASE("known quality: 4 bits in groups of 32 of normal weights") {
  Rng rng(9, "normal");
  std::vector<float> w(256 * 256);
  for (float& x : w) x = static_cast<float>(rng.normal());
  const auto sqnr = [&](ir::ZeroKind zero, Search search) {
    const ir::Encoding e = affine(4, 32, zero);
    std::vector<float> decoded(w.size());
    REQUIRE(decode_rows(e, quantize(w, 256, e, search), 256, 256, decoded.data()).has_value());
    ErrorMetrics metrics;
    metrics.add(w, decoded);
    return metrics.sqnr_db();
  };
  CHECK(sqnr(ir::ZeroKind::kConstant, Search::kAbsmax) == Approx(20.3).margin(0.15));
  CHECK(sqnr(ir::ZeroKind::kConstant, Search::kMse) == Approx(21.85).margin(0.1));
  CHECK(sqnr(ir::ZeroKind::kPoints, Search::kMse) == Approx(22.3).margin(0.1));
  CHECK(sqnr(ir::ZeroKind::kMinima, Search::kMse) == Approx(22.85).margin(0.1));
}
