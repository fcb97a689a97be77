#include "allocate/errors.h"

#include "quant/levels.h"
#include "unit/catch.h"
#include "unit/quant/hessians.h"
#include "unit/quant/weights.h"

using namespace thimble;
using namespace thimble::allocate;

namespace {

constexpr std::int64_t kRows = 64, kInputs = 128;

ir::Weight weight_of(const std::vector<float>& values) {
  ir::Weight weight;
  weight.name = std::string("w");
  weight.dtype = ir::DType::kF32;
  weight.dims = {kRows, kInputs};
  const auto bytes = std::as_bytes(std::span(values));
  weight.source = ir::owned_dense({bytes.begin(), bytes.end()}, kInputs * 4);
  return weight;
}

// Weights of which each is near one of four places that no table of ours has.
ir::Weight clustered() {
  std::vector<float> values;
  std::uint64_t state = 7;
  for (std::int64_t i = 0; i < kRows * kInputs; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    constexpr float kPlaces[] = {-1.0f, -0.9f, 0.7f, 0.8f};
    values.push_back(kPlaces[state >> 62] + static_cast<float>(state >> 40 & 15) * 1e-3f);
  }
  return weight_of(values);
}

ir::Encoding two_bits(std::vector<float> table) {
  ir::Encoding e;
  e.kind = table.empty() ? ir::EncodingKind::kAffine : ir::EncodingKind::kCodebook;
  e.bits = 2;
  e.group_size = 32;
  e.constant_zero = 2;
  e.table = std::move(table);
  return e;
}

struct Measured {
  std::vector<double> rounding, errors;
  pass::OpenWeight open;
};

Measured measure(std::vector<pass::Offer> offers, std::span<const double> energy = {},
                 const quant::GptqFactors* factors = nullptr,
                 const ir::Weight& weight = clustered()) {
  Measured out{{}, {}, {ir::WeightId{0}, 1, true, std::move(offers)}};
  Item item;
  for (const pass::Offer& offer : out.open.offers) {
    const auto bytes = stored_bytes(weight, offer.encoding, 1);
    REQUIRE(bytes.has_value());
    item.push_back({*bytes, 0});
  }
  ThreadPool pool(2);
  auto errors = output_errors(weight, item, energy, factors, pool, out.open);
  REQUIRE(errors.has_value());
  out.rounding = std::move(errors->rounding);
  out.errors = std::move(errors->written);
  return out;
}

}  // namespace

TEST_CASE("levels are fitted where they might win, and the offer holds them") {
  const std::vector<float> normal = quant::normal_levels(2);
  const Measured m = measure({{two_bits({})},
                              {two_bits(normal)},
                              {two_bits(normal), pass::Fit::kLevels},
                              {ir::Encoding::dense()}});
  CHECK(m.errors[2] < 0.5 * m.errors[1]);
  CHECK(m.errors[2] < 0.5 * m.errors[0]);
  CHECK(m.errors[3] == 0);
  CHECK(m.open.offers[1].encoding.table == normal);
  CHECK(m.open.offers[2].encoding.table != normal);
}

TEST_CASE("levels that can't win are left as they are") {
  const std::vector<float> normal = quant::normal_levels(2);
  const ir::Encoding finer = two_bits({-127, -114, 89, 102});
  const Measured m = measure({{finer}, {two_bits(normal), pass::Fit::kLevels}});
  CHECK(m.errors[0] < kMostGain * m.errors[1]);
  CHECK(m.open.offers[1].encoding.table == normal);
}

TEST_CASE("fitted levels follow the energy of the inputs") {
  std::vector<double> energy(kInputs, 0.0);
  energy[3] = 1;
  const std::vector<float> normal = quant::normal_levels(2);
  const Measured m = measure({{two_bits(normal)}, {two_bits(normal), pass::Fit::kLevels}}, energy);
  CHECK(m.errors[1] <= m.errors[0]);
}

TEST_CASE("a weight that compensates costs what gptq leaves") {
  const std::vector<double> hessian =
      test::hessian_of(test::correlated_inputs(400, kInputs, 4), kInputs);
  std::vector<double> energy;
  for (std::int64_t i = 0; i < kInputs; ++i) energy.push_back(hessian[i * kInputs + i]);
  ThreadPool pool(1);
  const auto factors = quant::gptq_factors(hessian, kInputs, {.act_order = true}, pool);
  REQUIRE(factors);
  ir::Encoding four = two_bits({});
  four.bits = 4;
  four.constant_zero = 8;
  const ir::Weight weight = weight_of(test::heavy_tailed(kRows * kInputs, 3));
  const std::vector<pass::Offer> offers = {{two_bits({})}, {four}, {ir::Encoding::dense()}};
  const Measured m = measure(offers, energy, &*factors, weight);
  CHECK(m.errors[0] < 0.7 * m.rounding[0]);
  CHECK(m.errors[1] < 0.7 * m.rounding[1]);
  CHECK(m.errors[2] == 0);
  CHECK(measure(offers, energy, nullptr, weight).errors == m.rounding);
}
