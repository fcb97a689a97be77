// Pieces of convolutions and pools: every variant against sums in the order that convolve.h says.

#include "kernels/convolve.h"

#include <cmath>
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

TEST_CASE("rows are copied with a stride, and what is outside is filled") {
  const Floats plane = random_floats(400, 8);
  for (const std::int64_t stride : {1, 2, 3}) {
    std::vector<Copy> copies;
    Floats want;
    for (const std::int32_t count : {1, 16, 7, 33, 8, 15, 9, 64}) {
      const std::int64_t from = count % 2 == 0 ? -1 : count;
      copies.push_back({from, static_cast<std::int32_t>(want.size()), count});
      for (std::int64_t i = 0; i < count; ++i) {
        want.push_back(from < 0 ? -2.5f : plane[static_cast<std::size_t>(from + i * stride)]);
      }
    }
    copies.push_back({400 - 1 - 19 * stride, static_cast<std::int32_t>(want.size()), 20});
    for (std::int64_t i = 19; i >= 0; --i)
      want.push_back(plane[static_cast<std::size_t>(399 - i * stride)]);
    for (const ConvolveKernels* kernels : runnable()) {
      INFO(isa_name(kernels->isa) << " " << stride);
      Floats to(want.size() + kCopySlack - 1, kUntouched);
      kernels->copy(copies.data(), static_cast<std::int64_t>(copies.size()), plane.data(), stride,
                    -2.5f, to.data());
      to.resize(want.size());
      CHECK(to == want);
    }
  }
}

TEST_CASE("taps of a plane are added, or the largest taken") {
  for (const std::int64_t places : {1, 16, 77, 131}) {
    const Floats x = random_floats(static_cast<std::size_t>(places) + 9, 7);
    const Floats w = random_floats(9, 8), addend = random_floats(131, 9);
    const float* from[9];
    for (std::size_t t = 0; t < 9; ++t) from[t] = x.data() + t;
    const float bias = 0.25f;
    Epilogue e;
    e.bias = &bias;
    e.addend = addend.data();
    e.function = Function::kRelu;
    Floats sums(static_cast<std::size_t>(places) + 1, kUntouched), tops = sums;
    for (std::size_t i = 0; i < static_cast<std::size_t>(places); ++i) {
      float sum = 0, top = x[i];
      for (std::size_t t = 0; t < 9; ++t) {
        sum = std::fma(w[t], x[i + t], sum);
        top = std::max(top, x[i + t]);
      }
      sums[i] = finished(e, sum, 0, static_cast<std::int64_t>(i));
      tops[i] = top;
    }
    for (const ConvolveKernels* kernels : runnable()) {
      INFO(isa_name(kernels->isa) << " " << places);
      Floats y(sums.size(), kUntouched);
      kernels->taps(from, w.data(), 9, places, e, y.data());
      CHECK(y == sums);
      kernels->most(from, 9, places, y.data());
      CHECK(y == tops);
    }
  }
}

}  // namespace
}  // namespace thimble::kernels
