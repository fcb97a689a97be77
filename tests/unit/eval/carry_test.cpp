#include "eval/carry.h"

#include <cstring>

#include "eval/arrays.h"
#include "ir/model.h"
#include "lower/lower.h"
#include "unit/catch.h"

namespace thimble::eval {
namespace {

// A running sum over calls.
program::Bundle running_sum(ThreadPool& pool) {
  auto model = ir::parse(
      "graph g(%x: f32[batch, 2], %sum: f32[1, batch, 2], %flag: i64[1]) {\n"
      "  %y = Add(%x, %sum)\n  %next = Identity(%y)\n  %seen = Identity(%flag)\n"
      "  return %y, %next, %seen\n}\n");
  REQUIRE(model.has_value());
  REQUIRE(ir::infer_shapes(*model).has_value());
  auto bundle = lower::load(*model, pool);
  if (!bundle) FAIL(bundle.error().to_string());
  return *std::move(bundle);
}

template <class T>
data::Array array(const std::string& name, const std::string& descr, std::vector<std::int64_t> dims,
                  const std::vector<T>& values) {
  data::Array out{name, descr, std::move(dims), std::vector<std::byte>(values.size() * sizeof(T))};
  std::memcpy(out.bytes.data(), values.data(), out.bytes.size());
  return out;
}

std::string refusal(const program::Bundle& bundle, const std::string& states) {
  const auto parsed = parse_states(states);
  if (!parsed) return parsed.error().message;
  const auto carrier = Carrier::create(bundle.program, *parsed);
  return carrier ? "" : carrier.error().message;
}

}  // namespace

TEST_CASE("floats of any width go into a model of halves, and bf16 comes out as f32") {
  ThreadPool pool(1);
  for (const std::string type : {"f16", "bf16", "f32", "f64"}) {
    auto model = ir::parse("graph g(%x: " + type + "[2]) {\n  %y = Add(%x, %x)\n  return %y\n}\n");
    REQUIRE(model.has_value());
    REQUIRE(ir::infer_shapes(*model).has_value());
    const auto bundle = lower::load(*model, pool);
    REQUIRE(bundle.has_value());
    const auto session = runtime::Session::create(*bundle, pool);
    REQUIRE(session.has_value());
    const std::vector<data::Array> given[] = {
        {array<double>("x", "<f8", {2}, {1.5, -2})},
        {array<float>("x", "<f4", {2}, {1.5f, -2})},
        {array<std::uint16_t>("x", "<f2", {2}, {0x3e00, 0xc000})},
        {array<std::uint16_t>("x", "<V2", {2}, {0x3fc0, 0xc000})}};
    for (std::vector<data::Array> arrays : given) {
      INFO(type << " from " << arrays[0].descr);
      const auto views = bind_inputs(bundle->program, arrays);
      REQUIRE(views.has_value());
      if (Status status = (*session)->run(*views); !status) FAIL(status.error().to_string());
      data::Array y = array_of("y", (*session)->outputs()[0]);
      CHECK(y.descr == (type == "f16" ? "<f2" : type == "f64" ? "<f8" : "<f4"));
      fit_floats(y, program::Type::kF32);
      float values[2] = {};
      REQUIRE(y.bytes.size() == sizeof values);
      std::memcpy(values, y.bytes.data(), sizeof values);
      CHECK((values[0] == 3 && values[1] == -4));
    }
  }
}

TEST_CASE("states go from call to call, zeros at first") {
  ThreadPool pool(1);
  const program::Bundle bundle = running_sum(pool);
  const auto states = parse_states("sum=next");
  REQUIRE(states.has_value());
  auto carrier = Carrier::create(bundle.program, *states);
  REQUIRE(carrier.has_value());
  const auto session = runtime::Session::create(bundle, pool);
  REQUIRE(session.has_value());
  const auto call = [&](const std::vector<float>& x) {
    std::vector<data::Array> arrays = {
        array<float>("x", "<f4", {static_cast<std::int64_t>(x.size() / 2), 2}, x),
        array<std::int64_t>("flag", "<i8", {1}, {1})};
    carrier->give(arrays);
    const auto views = bind_inputs(bundle.program, arrays);
    REQUIRE(views.has_value());
    if (Status status = (*session)->run(*views); !status) FAIL(status.error().to_string());
    carrier->take(**session);
    const auto* y = static_cast<const float*>((*session)->outputs()[0].data);
    return std::vector<float>(y, y + x.size());
  };
  CHECK(call({1, 2, 3, 4}) == std::vector<float>{1, 2, 3, 4});
  CHECK(call({1, 1, 1, 1}) == std::vector<float>{2, 3, 4, 5});
  REQUIRE(carrier->held().size() == 1);
  CHECK(carrier->held()[0].name == "sum");
  carrier->reset();
  CHECK(call({5, 6}) == std::vector<float>{5, 6});  // the symbol binds to another size
}

TEST_CASE("states that the model lacks are refused") {
  ThreadPool pool(1);
  const program::Bundle bundle = running_sum(pool);
  CHECK(refusal(bundle, "sum") == "a state is INPUT=OUTPUT, not 'sum'");
  CHECK(refusal(bundle, "summ=next") == "the model has no input 'summ' (did you mean 'sum'?)");
  CHECK(refusal(bundle, "sum=nxt") == "the model has no output 'nxt' (did you mean 'next'?)");
  CHECK(refusal(bundle, "sum=seen") == "the output 'seen' is not of the type and rank of 'sum'");
  CHECK(refusal(bundle, "sum=next,sum=y") == "the input 'sum' is carried twice");
  CHECK(refusal(bundle, "") == "");
}

}  // namespace thimble::eval
