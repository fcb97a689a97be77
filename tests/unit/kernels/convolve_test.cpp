// Pieces of convolutions and pools: every variant against sums in the order that convolve.h says.

#include "kernels/convolve.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "unit/catch.h"

namespace thimble::kernels {
namespace {

using Floats = std::vector<float>;
constexpr float kUntouched = -7.5f;

std::vector<const ConvolveKernels*> runnable() {
  std::vector<const ConvolveKernels*> out;
  for (const ConvolveKernels* variant : convolve_variants()) {
    const Isa isa = variant->isa;
    if (cpu_has(isa)) out.push_back(variant);
  }
  return out;
}

Floats random_floats(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Floats out(count);
  for (float& x : out) x = normal(random);
  return out;
}

// Functions whose value is exact in every rounding.
float finished(const Epilogue& e, float sum, std::int64_t output, std::int64_t at) {
  if (e.scale != nullptr) {
    sum = std::fma(e.scale[output], sum, e.bias[output]);
  } else if (e.bias != nullptr) {
    sum += e.bias[output];
  }
  if (e.addend != nullptr) sum += e.addend[at];
  if (e.clipped) sum = std::min(std::max(sum, e.low), e.high);
  return e.function == Function::kRelu ? std::max(sum, 0.0f) : sum;
}

struct Case {
  std::int64_t inputs, outputs, places;
};

TEST_CASE("a panel's sums run over its inputs in order") {
  for (const Case& c : {Case{1, 1, 1}, Case{9, 16, 32}, Case{130, 13, 31}, Case{40, 16, 17},
                        Case{33, 5, 25}, Case{64, 16, 7}, Case{12, 9, 16}, Case{5, 4, 23}}) {
    const std::int64_t stride = c.places + 5;
    const Floats w = random_floats(static_cast<std::size_t>(c.outputs * c.inputs), 1);
    const Floats piece = random_floats(static_cast<std::size_t>(c.inputs * kPiecePlaces), 2);
    const Floats vectors = random_floats(32, 3);
    const Floats addend = random_floats(static_cast<std::size_t>(16 * stride), 4);
    Floats packed(static_cast<std::size_t>(c.inputs * kPanelRows));
    pack_panel(w.data(), c.outputs, c.inputs, 0, packed.data());
    Epilogue plain, all;
    plain.bias = vectors.data();
    plain.function = Function::kRelu;
    all.scale = vectors.data() + 16;
    all.bias = vectors.data();
    all.addend = addend.data();
    all.clipped = true;
    all.low = -0.5f;
    all.high = 1.25f;
    for (const Epilogue& e : {plain, all}) {
      Floats want(static_cast<std::size_t>(16 * stride), kUntouched);
      for (std::int64_t o = 0; o < c.outputs; ++o) {
        for (std::int64_t p = 0; p < c.places; ++p) {
          float sum = 0;
          for (std::int64_t k = 0; k < c.inputs; ++k) {
            sum = std::fma(w[static_cast<std::size_t>(o * c.inputs + k)],
                           piece[static_cast<std::size_t>(k * kPiecePlaces + p)], sum);
          }
          const std::int64_t at = o * stride + p;
          want[static_cast<std::size_t>(at)] = finished(e, sum, o, at);
        }
      }
      for (const ConvolveKernels* kernels : runnable()) {
        INFO(isa_name(kernels->isa) << " " << c.inputs << " " << c.outputs << " " << c.places);
        Floats y(want.size(), kUntouched);
        const std::int64_t half = c.inputs / 2;  // in two steps, as pieces of channels come
        if (half > 0) {
          kernels->panel(packed.data(), {piece.data(), kPiecePlaces}, half, c.outputs, c.places,
                         true, nullptr, y.data(), stride, {packed.data(), 0});
        }
        kernels->panel(packed.data() + half * kPanelRows,
                       {piece.data() + half * kPiecePlaces, kPiecePlaces}, c.inputs - half,
                       c.outputs, c.places, half == 0, &e, y.data(), stride, {packed.data(), 0});
        CHECK(y == want);
      }
    }
  }
}

TEST_CASE("the last few places of many panels have the sums of a panel") {
  for (const Case& c : {Case{1, 1, 1}, Case{9, 16, 4}, Case{40, 37, 5}, Case{12, 100, 8},
                        Case{33, 144, 1}, Case{7, 64, 6}}) {
    const std::int64_t stride = c.places + 3, panels = (c.outputs + 15) / 16;
    const std::int64_t panel = c.inputs * kPanelRows;
    const Floats w = random_floats(static_cast<std::size_t>(c.outputs * c.inputs), 1);
    const Floats piece = random_floats(static_cast<std::size_t>(c.inputs * kPiecePlaces), 2);
    const Floats vectors = random_floats(static_cast<std::size_t>(2 * c.outputs), 3);
    const Floats addend = random_floats(static_cast<std::size_t>(c.outputs * stride), 4);
    Floats packed(static_cast<std::size_t>(panels * panel));
    for (std::int64_t t = 0; t < panels; ++t)
      pack_panel(w.data(), c.outputs, c.inputs, t, packed.data() + t * panel);
    Epilogue e;
    e.scale = vectors.data();
    e.bias = vectors.data() + c.outputs;
    e.addend = addend.data();
    e.function = Function::kRelu;
    Floats want(addend.size(), kUntouched);
    for (std::int64_t t = 0; t < panels; ++t) {
      const std::int64_t first = t * kPanelRows;
      Epilogue own = e;
      own.scale += first;
      own.bias += first;
      own.addend += first * stride;
      convolve_variants()[0]->panel(packed.data() + t * panel, {piece.data(), kPiecePlaces},
                                    c.inputs, std::min<std::int64_t>(16, c.outputs - first),
                                    c.places, true, &own, want.data() + first * stride, stride,
                                    {packed.data(), 0});
    }
    for (const ConvolveKernels* kernels : runnable()) {
      INFO(isa_name(kernels->isa) << " " << c.inputs << " " << c.outputs << " " << c.places);
      Floats y(want.size(), kUntouched);
      const std::int64_t half = c.inputs / 2;  // in two steps, as pieces of channels come
      if (half > 0) {
        kernels->few(packed.data(), panel, {piece.data(), kPiecePlaces}, half, c.outputs, c.places,
                     true, nullptr, y.data(), stride);
      }
      kernels->few(packed.data() + half * kPanelRows, panel,
                   {piece.data() + half * kPiecePlaces, kPiecePlaces}, c.inputs - half, c.outputs,
                   c.places, half == 0, &e, y.data(), stride);
      CHECK(y == want);
    }
  }
}

TEST_CASE("every variant applies functions alike") {
  const Floats w = random_floats(16, 5), piece = random_floats(kPiecePlaces, 6);
  for (const Function function : {Function::kSilu, Function::kGeluErf, Function::kGeluTanh,
                                  Function::kTanh, Function::kSigmoid, Function::kHardSwish}) {
    Epilogue e;
    e.function = function;
    Floats want(16 * 27), mapped(16 * 27);
    convolve_variants()[0]->panel(w.data(), {piece.data(), kPiecePlaces}, 1, 16, 27, true, &e,
                                  want.data(), 27, {w.data(), 16});
    for (std::size_t o = 0; o < 16; ++o) {
      for (std::size_t p = 0; p < 27; ++p) mapped[o * 27 + p] = w[o] * piece[p];
    }
    row_variants()[0]->map(function, mapped.data(), 16 * 27, mapped.data());
    CHECK(want == mapped);
    for (const ConvolveKernels* kernels : runnable()) {
      Floats y(want.size());
      kernels->panel(w.data(), {piece.data(), kPiecePlaces}, 1, 16, 27, true, &e, y.data(), 27,
                     {w.data(), 0});
      CHECK(y == want);
    }
  }
}

TEST_CASE("slices of planes fill vectors, lane by lane") {
  constexpr std::int64_t kPlane = 70, kPlanes = 37, kStep = 48;
  constexpr float kOutside = -2.5f;
  const Floats planes = random_floats(kPlane * kPlanes, 8);
  for (const std::int64_t stride : {1, 2, 3}) {
    const std::vector<Slice> slices = {
        {0, 0, 0, 0xffff},   // a whole vector
        {3, 16, 0, 0x003f},  // a row's end, then the next row's beginning
        {20 - 6 * stride, 16, 0x003f, 0x1fc0},
        {-4 * stride, 32, 0, 0xfff0},  // the first element after lanes that lie outside
        {kPlane - 1 - 15 * stride, 32, 0x00f0, 0xff00},  // up to the last one
    };
    Floats want(kPlanes * kStep);
    for (std::int64_t p = 0; p < kPlanes; ++p) {
      float* out = want.data() + p * kStep;
      for (const Slice& s : slices) {
        for (int l = 0; l < 16; ++l) {
          const bool taken = (s.lanes >> l & 1) != 0, kept = (s.kept >> l & 1) != 0;
          float& to = out[s.to + l];
          if (taken) {
            to = planes[static_cast<std::size_t>(p * kPlane + s.from + l * stride)];
          } else if (!kept) {
            to = kOutside;
          }
        }
      }
    }
    for (const ConvolveKernels* kernels : runnable()) {
      INFO(isa_name(kernels->isa) << " " << stride);
      Floats to(want.size(), kUntouched);
      kernels->im2col(slices.data(), static_cast<std::int64_t>(slices.size()), planes.data(),
                      kPlane, kPlanes, stride, kOutside, to.data(), kStep);
      CHECK(to == want);
    }
  }
}

struct PlaneCase {
  std::int64_t rows, columns, step;
};

// Calls f(result's place, pointer to its first tap) for every result.
template <class F>
void each_result(const PlaneCase& c, const Floats& x, F f) {
  for (std::int64_t row = 0; row < c.rows; ++row) {
    for (std::int64_t column = 0; column < c.columns; ++column)
      f(static_cast<std::size_t>(row * c.columns + column), x.data() + row * c.step + column);
  }
}

TEST_CASE("windows over a plane: sums, maxima and means of their taps") {
  for (const PlaneCase& c : {PlaneCase{1, 1, 0}, PlaneCase{1, 16, 0}, PlaneCase{3, 77, 90},
                             PlaneCase{2, 131, 131}, PlaneCase{7, 7, 9}, PlaneCase{5, 28, 64}}) {
    const std::int64_t offsets[] = {0, 1, 4, 2, 3, 8, 5, 9, 6};
    const auto count = static_cast<std::size_t>(c.rows * c.columns);
    const Floats x = random_floats(static_cast<std::size_t>(c.rows * c.step + c.columns) + 9, 7);
    const Floats w = random_floats(9, 8), addend = random_floats(count, 9);
    Floats high(static_cast<std::size_t>(c.rows), 3), wide(static_cast<std::size_t>(c.columns), 2);
    high[0] = 2;
    wide[0] = c.columns > 1 ? 0.0f : 1.0f;  // windows without any tap
    const float bias = 0.25f;
    Epilogue e;
    e.bias = &bias;
    e.addend = addend.data();
    e.function = Function::kRelu;
    Floats sums(count + 1, kUntouched), tops = sums, means = sums;
    each_result(c, x, [&](std::size_t at, const float* first) {
      float sum = 0, plain = 0, top = first[0];
      for (std::size_t t = 0; t < 9; ++t) {
        sum = std::fma(w[t], first[offsets[t]], sum);
        plain += first[offsets[t]];
        top = std::max(top, first[offsets[t]]);
      }
      const auto columns = static_cast<std::size_t>(c.columns);
      const float taps = high[at / columns] * wide[at % columns];
      sums[at] = finished(e, sum, 0, static_cast<std::int64_t>(at));
      tops[at] = top;
      means[at] = taps > 0 ? plain / taps : 0.0f;
    });
    const WindowRows windows{offsets, 9, c.rows, c.columns, c.step};
    for (const ConvolveKernels* kernels : runnable()) {
      INFO(isa_name(kernels->isa) << " " << c.rows << " x " << c.columns);
      Floats y(sums.size(), kUntouched);
      kernels->taps(x.data(), windows, w.data(), e, y.data());
      CHECK(y == sums);
      kernels->most(x.data(), windows, y.data());
      CHECK(y == tops);
      kernels->mean(x.data(), windows, high.data(), wide.data(), y.data());
      CHECK(y == means);
    }
  }
}

// The largest tap of the window at [row, column], in the order of convolve.h.
float most_tap(const PairWindows& w, const Floats& x, std::int64_t row, std::int64_t column) {
  float top = 0;
  for (std::int64_t r = 0; r < w.taps_high; ++r) {
    for (std::int64_t c = 0; c < w.taps_wide; ++c) {
      const std::int64_t line = row * w.step + r * w.apart - w.above;
      const std::int64_t at = 2 * column + c - w.before;
      const bool there = line >= 0 && line < w.high && at >= 0 && at < w.wide;
      const float tap = there ? x[static_cast<std::size_t>(line * w.wide + at)]
                              : -std::numeric_limits<float>::infinity();
      top = r + c == 0 || tap > top ? tap : top;
    }
  }
  return top;
}

TEST_CASE("maxima of windows that move by two read a plane as it lies") {
  for (const PairWindows& w :
       {PairWindows{1, 2, 1, 1, 1, 2, 1, 1, 0, 0}, PairWindows{7, 37, 3, 18, 3, 3, 2, 1, 0, 0},
        PairWindows{9, 33, 5, 17, 3, 3, 2, 1, 1, 1}, PairWindows{6, 12, 3, 6, 2, 2, 2, 1, 0, 0},
        PairWindows{8, 131, 3, 66, 3, 2, 3, 2, 2, 1},
        PairWindows{5, 32, 2, 16, 3, 3, 2, 1, 0, 0}}) {
    // A plane has no elements behind it, zeros of both signs, and NaNs.
    Floats x = random_floats(static_cast<std::size_t>(w.high * w.wide), 11);
    for (std::size_t i = 0; i < x.size(); i += 5) x[i] = i % 2 == 0 ? 0.0f : -0.0f;
    for (std::size_t i = 3; i < x.size(); i += 17) x[i] = std::nanf("");
    Floats want(static_cast<std::size_t>(w.rows * w.columns) + 1, kUntouched);
    for (std::int64_t row = 0; row < w.rows; ++row) {
      for (std::int64_t column = 0; column < w.columns; ++column)
        want[static_cast<std::size_t>(row * w.columns + column)] = most_tap(w, x, row, column);
    }
    for (const ConvolveKernels* kernels : runnable()) {
      INFO(isa_name(kernels->isa) << " " << w.rows << " x " << w.columns);
      Floats y(want.size(), kUntouched);
      kernels->most_of_pairs(x.data(), w, y.data());
      CHECK(std::memcmp(y.data(), want.data(), y.size() * sizeof(float)) == 0);
    }
  }
}

}  // namespace
}  // namespace thimble::kernels
