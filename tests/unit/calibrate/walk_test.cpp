#include "calibrate/walk.h"

#include <algorithm>
#include <map>

#include "formats/all.h"
#include "ir/extract.h"
#include "ir/match.h"
#include "lower/lower.h"
#include "unit/catch.h"
#include "unit/ir/parsed.h"

namespace thimble::calibrate {
namespace {

ir::Model fable() {
  auto model = formats::read_model(THIMBLE_SOURCE_DIR "/tests/data/fable", {});
  REQUIRE(model.has_value());
  return *std::move(model);
}

Held integers(std::vector<std::int64_t> dims, const std::vector<std::int64_t>& values) {
  const auto* data = reinterpret_cast<const std::byte*>(values.data());
  return {program::Type::kI64, std::move(dims),
          std::make_shared<const std::vector<std::byte>>(data, data + values.size() * 8)};
}

Sample sample(std::int64_t count, std::int64_t seed) {
  std::vector<std::int64_t> tokens, positions;
  for (std::int64_t i = 0; i < count; ++i) {
    tokens.push_back((i * 37 + seed * 11) % 300);
    positions.push_back(i);
  }
  return {{"input_ids", integers({1, count}, tokens)},
          {"position_ids", integers({1, count}, positions)},
          {"logit_positions", integers({count}, positions)}};
}

std::vector<ir::ValueId> product_inputs(const ir::Model& model, const Block& block) {
  std::vector<ir::ValueId> out;
  for (const ir::NodeId node : block.nodes) {
    const auto linear = ir::match_linear(model, node);
    if (linear && std::find(out.begin(), out.end(), linear->input) == out.end())
      out.push_back(linear->input);
  }
  return out;
}

using Bytes = std::vector<std::byte>;
Bytes bytes_of(const runtime::TensorView& view) {
  const auto* data = static_cast<const std::byte*>(view.data);
  return {data, data + view.count() * program::type_bytes(view.type)};
}

// What an observer of the whole model sees, by value's name.
std::map<std::string, Bytes> observe_whole(const ir::Model& model, const Sample& sample,
                                           ThreadPool& pool) {
  const auto bundle = lower::load(model, pool);
  REQUIRE(bundle.has_value());
  runtime::SessionOptions options;
  options.cache_from_program = false;
  options.max_context = 64;
  auto session = runtime::Session::create(*bundle, pool, options);
  REQUIRE(session.has_value());
  std::map<std::string, Bytes> seen;
  (*session)->set_observer([&](std::int32_t slot, const runtime::TensorView& view) {
    seen[bundle->program.slot(slot).name] = bytes_of(view);
  });
  std::vector<runtime::TensorView> inputs;
  for (const char* name : {"input_ids", "position_ids", "logit_positions"})
    inputs.push_back(sample.at(name).view());
  REQUIRE((*session)->run(inputs).has_value());
  return seen;
}

}  // namespace

TEST_CASE("a decoder is cut into a prologue, its layers and an epilogue") {
  const ir::Model model = fable();
  const std::vector<Block> blocks = cut_into_blocks(model);
  std::vector<int> layers;
  for (const Block& block : blocks) layers.push_back(block.layer);
  REQUIRE(layers.size() >= 3);
  CHECK(layers.front() == -1);
  CHECK(layers.back() == -1);
  for (std::size_t i = 1; i + 1 < layers.size(); ++i) CHECK(layers[i] == static_cast<int>(i) - 1);
  for (std::size_t i = 1; i + 1 < layers.size(); ++i) {
    CHECK(product_inputs(model, blocks[i]).size() == 4);
    CHECK(blocks[i].writes.size() == 1);  // the residual stream
  }
  CHECK(product_inputs(model, blocks.back()).size() == 1);
  CHECK(blocks.back().keeps.empty());
}

TEST_CASE("block by block, products read what they read in a run of the whole model, bit for bit") {
  const ir::Model model = fable();
  ThreadPool pool(2);
  const std::vector<Sample> samples{sample(48, 1), sample(64, 2), sample(48, 3)};
  auto walk = Walk::create(model, samples, pool);
  REQUIRE(walk.has_value());
  std::vector<std::map<std::string, Bytes>> parts(samples.size());
  while (!walk->done()) {
    const auto watch = product_inputs(model, walk->block());
    const Status status =
        walk->run(watch,
                  [&](std::size_t s, std::size_t w, const runtime::TensorView& view) {
                    parts[s][model.graph.value(watch[w]).name] = bytes_of(view);
                    return ok();
                  },
                  {.move = true});
    if (!status) FAIL(status.error().to_string());
  }
  for (std::size_t s = 0; s < samples.size(); ++s) {
    const auto whole = observe_whole(model, samples[s], pool);
    CHECK(parts[s].size() > 8);
    for (const auto& [name, bytes] : parts[s]) {
      INFO(name);
      REQUIRE(whole.count(name) == 1);
      CHECK(whole.at(name) == bytes);
    }
  }
}

TEST_CASE("a boundary that is too large isn't held, and what comes behind it is the same") {
  const ir::Model model = test::inferred(
      "weight @u: f32[1, 1] = [0.5]\nweight @v: f32[1, 1] = [-2.0]\nweight @w: f32[1, 1] = [3.0]\n"
      "graph main(%x: f32[4, 1]) {\n  %a = MatMul(%x, @u)\n  %b = MatMul(%a, @v)\n"
      "  %c = ReduceMean(%b) {keepdims = 1}\n  %d = MatMul(%c, @w)\n  %y = Neg(%d)\n"
      "  return %y\n}\n");
  ThreadPool pool(1);
  const float numbers[] = {1, 2, 3, 5};
  const auto* data = reinterpret_cast<const std::byte*>(numbers);
  const Held x = {program::Type::kF32,
                  {4, 1},
                  std::make_shared<const std::vector<std::byte>>(data, data + sizeof(numbers))};
  const std::vector<Sample> samples{{{"x", x}}};
  auto walk = Walk::create(model, samples, pool), small = Walk::create(model, samples, pool, 8);
  REQUIRE((walk && small));
  std::string held;
  while (!walk->done()) {
    const auto watch = product_inputs(model, walk->block());
    REQUIRE(watch.size() == 1);
    CHECK(walk->at_hand(watch[0]));
    CHECK(small->at_hand(watch[0]));
    for (const auto& [value, values] : small->held(0))
      held += model.graph.value(ir::ValueId{value}).name;
    const auto compare = [&](std::size_t, std::size_t, const runtime::TensorView& view,
                             const runtime::TensorView& other) {
      CHECK(bytes_of(view) == bytes_of(other));
      return ok();
    };
    REQUIRE(walk->run_beside(*small, watch, compare, {.move = true}, {.move = true}));
  }
  CHECK(small->done());
  CHECK(held == "xxc");  // a is too large
}

TEST_CASE("two walks side by side see what each sees alone") {
  const ir::Model model = fable();
  ir::Model other = model;  // the same graph, other weights
  for (const ir::WeightUse& use : ir::quantizable_weights(model)) {
    if (use.gathered || use.layer % 2 != 0) continue;
    ir::Weight& weight = other.weight(use.weight);
    auto values = ir::read_floats(weight);
    REQUIRE(values.has_value());
    for (float& value : *values) value *= 2;
    weight = ir::make_dense(weight.name, weight.dims, *values);
  }
  ThreadPool pool(2);
  const std::vector<Sample> samples{sample(48, 1), sample(64, 2)};
  auto walk = Walk::create(model, samples, pool), beside = Walk::create(other, samples, pool);
  auto alone = Walk::create(other, samples, pool);
  REQUIRE((walk && beside && alone));
  while (!walk->done()) {
    const auto watch = product_inputs(model, walk->block());
    std::vector<Bytes> seen, expected;
    const auto see = [&](std::size_t, std::size_t, const runtime::TensorView&,
                         const runtime::TensorView& view) {
      seen.push_back(bytes_of(view));
      return ok();
    };
    // One walk may go on before the other.
    REQUIRE(walk->run_beside(*beside, watch, see, {}, {.move = true}));
    CHECK(beside->position() == walk->position() + 1);
    REQUIRE(walk->run({}, {}, {.move = true}));
    const auto expect = [&](std::size_t, std::size_t, const runtime::TensorView& view) {
      expected.push_back(bytes_of(view));
      return ok();
    };
    REQUIRE(alone->run(watch, expect, {.move = true}));
    CHECK(seen == expected);
  }
  CHECK(beside->done());
}

TEST_CASE("a part runs on sizes that went together before it") {
  const ir::Model whole = test::inferred(R"(weight @flat: i64[2] = [-1, 4]
graph main(%x: f32[n, 4], %z: f32[b, s, 4]) {
  %c = Concat(%x, %x) {axis = 0}
  %p, %q = Split(%c) {axis = 0, num_outputs = 2}
  %y = Sub(%p, %q)
  %f = Reshape(%z, @flat)
  %g = Relu(%f)
  return %y, %g
}
)");
  const auto rows = [&](const char* from, const char* to) {
    const std::vector cut{*whole.graph.find_value(from)}, wanted{*whole.graph.find_value(to)};
    const ir::Model part = ir::extract(whole, cut, wanted);
    ThreadPool pool(1);
    const auto bundle = lower::load(part, pool);
    REQUIRE(bundle.has_value());
    const auto session = runtime::Session::create(*bundle, pool);
    REQUIRE(session.has_value());
    const std::vector<float> numbers(24);
    const std::vector<runtime::TensorView> inputs = {{program::Type::kF32, {6, 4}, numbers.data()}};
    const Status ran = (*session)->run(inputs);
    INFO((ran ? "" : ran.error().to_string()));
    REQUIRE(ran.has_value());
    return (*session)->outputs()[0].dims[0];
  };
  CHECK(rows("c", "y") == 3);  // 2 n are 6
  CHECK(rows("f", "g") == 6);  // of b s no one can say more
}

TEST_CASE("a sample that lacks an input is refused by name") {
  const ir::Model model = fable();
  ThreadPool pool(1);
  Sample lacking = sample(8, 1);
  lacking.erase("position_ids");
  const std::vector<Sample> samples{lacking};
  const auto walk = Walk::create(model, samples, pool);
  REQUIRE_FALSE(walk.has_value());
  CHECK(walk.error().message.find("position_ids") != std::string::npos);
}

}  // namespace thimble::calibrate
