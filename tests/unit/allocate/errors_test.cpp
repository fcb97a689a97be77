#include "allocate/errors.h"

#include "quant/levels.h"
#include "unit/catch.h"

using namespace thimble;
using namespace thimble::allocate;

namespace {

constexpr std::int64_t kRows = 64, kInputs = 128;

// Weights of which each is near one of four places that no table of ours has.
ir::Weight clustered() {
  std::vector<float> values;
  std::uint64_t state = 7;
  for (std::int64_t i = 0; i < kRows * kInputs; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    constexpr float kPlaces[] = {-1.0f, -0.9f, 0.7f, 0.8f};
    values.push_back(kPlaces[state >> 62] + static_cast<float>(state >> 40 & 15) * 1e-3f);
  }
  ir::Weight weight;
  weight.name = "w";
  weight.dtype = ir::DType::kF32;
  weight.dims = {kRows, kInputs};
  const auto bytes = std::as_bytes(std::span(values));
  weight.source = ir::owned_dense({bytes.begin(), bytes.end()}, kInputs * 4);
  return weight;
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
  std::vector<double> errors;
  pass::OpenWeight open;
};

Measured measure(std::vector<pass::Offer> offers, std::span<const double> energy = {}) {
  const ir::Weight weight = clustered();
  Measured out{{}, {ir::WeightId{0}, 1, true, std::move(offers)}};
  Item item;
  for (const pass::Offer& offer : out.open.offers) {
    const auto bytes = stored_bytes(weight, offer.encoding, 1);
    REQUIRE(bytes.has_value());
    item.push_back({*bytes, 0});
  }
  ThreadPool pool(2);
  auto errors = output_errors(weight, item, energy, pool, out.open);
  REQUIRE(errors.has_value());
  out.errors = *std::move(errors);
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
