// Memory planning, states, what callers may get wrong, and the decoder on top.

#include <algorithm>
#include <cmath>
#include <numeric>
#include <thread>

#include "runtime/generate.h"
#include "runtime/plan.h"
#include "unit/runtime/run_program.h"

using namespace thimble;
using program::Op;
using program::Type;
using runtime::Decoder;
using test::ints;
using test::number;
using test::symbol;
using Floats = std::vector<float>;

namespace {

// A chain of `length` functions over [n].
test::ProgramBuilder chain(int length) {
  test::ProgramBuilder b;
  const auto n = symbol(b.add_symbol("n"));
  std::int32_t at = b.input("x", Type::kF32, {n});
  for (int i = 0; i < length; ++i) {
    const std::int32_t next = b.activation("v" + std::to_string(i), Type::kF32, {n});
    b.run(Op::kUnary, {at}, {next}, {ints("function", {12})});
    at = next;
  }
  b.output(at);
  return b;
}

std::vector<std::int32_t> tokens(std::size_t count) {
  std::vector<std::int32_t> out(count);
  for (std::size_t i = 0; i < count; ++i)
    out[i] = static_cast<std::int32_t>((i * i + 5 * i + 3) % 24);
  return out;
}

Floats all_logits(bool cached, std::span<const std::int32_t> ids, int threads, std::size_t chunk,
                  runtime::SessionOptions options = {}) {
  const test::ProgramBuilder b = test::tiny_decoder(cached);
  ThreadPool pool(threads);
  auto decoder = Decoder::create(b.bundle, pool, options);
  if (!decoder) FAIL(decoder.error().to_string());
  Floats out;
  for (std::size_t at = 0; at < ids.size(); at += chunk) {
    const Status status =
        (*decoder)->feed_all(ids.subspan(at, std::min(chunk, ids.size() - at)), 0,
                             [&](std::int64_t, std::span<const float> logits) {
                               out.insert(out.end(), logits.begin(), logits.end());
                             });
    if (!status) FAIL(status.error().to_string());
  }
  return out;
}

}  // namespace

TEST_CASE("values whose lives don't overlap share memory") {
  const test::ProgramBuilder b = chain(9);
  runtime::Planner planner(b.bundle.program, b.bundle.program.regions[0]);
  for (std::size_t i = 1; i < b.bundle.program.slots.size(); ++i)
    planner.set_bytes(static_cast<std::int32_t>(i), 4000);
  REQUIRE(planner.make().bytes == 2 * 4032);
  for (const std::int64_t count : {3, 100, 5}) {
    const Floats x(static_cast<std::size_t>(count), 2.0f);
    REQUIRE(test::run_once<float>(b, {test::view(Type::kF32, {count}, x)}) ==
            Floats(x.size(), -2.0f));
  }
}

TEST_CASE("a session follows its inputs from call to call") {
  const test::ProgramBuilder b = chain(2);
  ThreadPool pool(1);
  auto session = runtime::Session::create(b.bundle, pool);
  REQUIRE(session);
  for (const std::size_t count : {4, 4, 900, 1}) {
    Floats x(count);
    std::iota(x.begin(), x.end(), static_cast<float>(count));
    REQUIRE((*session)->run(
        std::vector{test::view(Type::kF32, {static_cast<std::int64_t>(count)}, x)}));
    REQUIRE(test::copy_of<float>((*session)->outputs()[0]) == x);
  }
  int seen = 0;
  (*session)->set_observer([&](std::int32_t, const runtime::TensorView& value) {
    seen += static_cast<int>(value.count());
  });
  (*session)->enable_profile();
  const Floats x(5, 1.0f);
  REQUIRE((*session)->run(std::vector{test::view(Type::kF32, {5}, x)}));
  REQUIRE(seen == 10);
  REQUIRE((*session)->profile().size() == 2);
  REQUIRE((*session)->profile()[1].calls == 1);
}

TEST_CASE("wrong inputs are named") {
  const test::ProgramBuilder b = test::tiny_linear();
  ThreadPool pool(1);
  auto session = runtime::Session::create(b.bundle, pool);
  REQUIRE(session);
  const Floats x(80, 1.0f);
  const std::vector<std::int64_t> longs(40, 1);
  REQUIRE_FALSE((*session)->run({}));
  REQUIRE((*session)->run(std::vector{test::view(Type::kI64, {1, 40}, longs)}).error().message ==
          "input 'x': is i64, not f32");
  REQUIRE((*session)->run(std::vector{test::view(Type::kF32, {40}, x)}).error().message ==
          "input 'x': has 1 dimensions, not 2");
  REQUIRE((*session)->run(std::vector{test::view(Type::kF32, {2, 39}, x)}).error().message ==
          "input 'x': is [2, 39], but its size 1 must be 40");
  REQUIRE((*session)->run(std::vector{test::view(Type::kF32, {2, 40}, x)}));
  REQUIRE((*session)->run(std::vector{test::view(Type::kF32, {0, 40}, x)}));
  REQUIRE((*session)->outputs()[0].count() == 0);
}

TEST_CASE("a copied state is what the call before gave") {
  test::ProgramBuilder b;
  const std::int32_t x = b.input("x", Type::kF32, {number(2)});
  const std::int32_t before = b.state("before", Type::kF32, {number(2)});
  const std::int32_t after = b.activation("after", Type::kF32, {number(2)});
  b.run(Op::kBinary, {x, before}, {after}, {ints("function", {0})});
  b.output(after);
  b.program().states.push_back({program::State::Kind::kCopy, before, after});
  ThreadPool pool(1);
  auto session = runtime::Session::create(b.bundle, pool);
  REQUIRE(session);
  const Floats one = {1, 2};
  for (int call = 1; call <= 3; ++call) {
    REQUIRE((*session)->run(std::vector{test::view(Type::kF32, {2}, one)}));
    REQUIRE(test::copy_of<float>((*session)->outputs()[0]) ==
            Floats{static_cast<float>(call), 2 * static_cast<float>(call)});
  }
  (*session)->reset();
  REQUIRE((*session)->run(std::vector{test::view(Type::kF32, {2}, one)}));
  REQUIRE(test::copy_of<float>((*session)->outputs()[0]) == one);
}

TEST_CASE("a loop without end is stopped, and the session goes on") {
  test::ProgramBuilder b;
  const std::int32_t x = b.input("x", Type::kF32, {number(1)});
  const std::int32_t rounds = b.input("rounds", Type::kI64, {});
  const std::int32_t y = b.activation("y", Type::kF32, {number(1)});
  const std::int32_t round = b.activation("round", Type::kI64, {});
  const std::int32_t going = b.activation("going", Type::kBool, {});
  const std::int32_t carried = b.activation("carried", Type::kF32, {number(1)});
  for (const std::int32_t slot : {y, round, going, carried}) b.program().slot(slot).dynamic = true;
  b.run(Op::kLoop, {rounds, -1, x}, {y});
  b.output(y);
  b.region().instructions[0].regions = {1};
  program::Region& body = b.program().regions.emplace_back();  // hands on what it gets
  body.inputs = {round, going, carried};
  body.outputs = {going, carried};
  ThreadPool pool(1);
  auto session = runtime::Session::create(b.bundle, pool);
  if (!session) FAIL(session.error().to_string());
  const Floats value = {3};
  std::vector<std::int64_t> count = {std::int64_t{1} << 62};
  const std::vector inputs = {test::view(Type::kF32, {1}, value),
                              test::view(Type::kI64, {}, count)};
  std::thread stopper([&] { (*session)->stop(); });
  const Status stopped = (*session)->run(inputs);
  stopper.join();
  REQUIRE(!stopped);
  CHECK(stopped.error().code == ErrorCode::kInterrupted);
  count = {5};
  REQUIRE((*session)->run(inputs));
  CHECK(test::copy_of<float>((*session)->outputs()[0]) == value);
}

TEST_CASE("logits have the same bits in any chunks, with any threads, with a cache or without") {
  const auto ids = tokens(150);
  const Floats whole = all_logits(false, ids, 1, ids.size());
  REQUIRE(whole.size() == 150 * 24);
  REQUIRE(all_logits(true, ids, 1, ids.size()) == whole);
  REQUIRE(all_logits(true, ids, 1, 1) == whole);
  REQUIRE(all_logits(true, ids, 2, 37) == whole);
  const auto longer = tokens(700);  // more than one prefill chunk
  REQUIRE(all_logits(true, longer, 2, longer.size()) == all_logits(true, longer, 1, 100));
}

TEST_CASE("narrow caches stay near") {
  const auto ids = tokens(60);
  const Floats exact = all_logits(true, ids, 1, 60);
  using Type = program::CacheType;
  struct Case {
    Type keys, values;
    double most;
  };
  for (const Case& c : {Case{Type::kF16, Type::kF16, 1e-6}, Case{Type::kInt8, Type::kInt8, 1e-3},
                        Case{Type::kInt4, Type::kInt8, 3e-2}, Case{Type::kInt8, Type::kInt4, 3e-2},
                        Case{Type::kInt4, Type::kInt4, 3e-2}}) {
    const runtime::SessionOptions options = {
        .cache = c.keys, .value_cache = c.values, .cache_from_program = false};
    const Floats near = all_logits(true, ids, 1, 60, options);
    CHECK(all_logits(true, ids, 2, 7, options) == near);
    double error = 0, size = 0;
    for (std::size_t i = 0; i < exact.size(); ++i) {
      error += std::pow(static_cast<double>(near[i]) - exact[i], 2);
      size += std::pow(static_cast<double>(exact[i]), 2);
    }
    const double ratio = error / size;
    REQUIRE(ratio > 0);
    CAPTURE(static_cast<int>(c.keys), static_cast<int>(c.values));
    CHECK(ratio < c.most);
  }
}

TEST_CASE("a decoder can be wound back, and says when it is full") {
  const test::ProgramBuilder b = test::tiny_decoder(true);
  ThreadPool pool(1);
  auto decoder = Decoder::create(b.bundle, pool, {.max_context = 20});
  REQUIRE(decoder);
  REQUIRE((*decoder)->vocabulary() == 24);
  const auto ids = tokens(20);
  const auto first = (*decoder)->feed(std::span(ids).first(12));
  REQUIRE(first);
  const Floats expected(first->begin(), first->end());
  REQUIRE((*decoder)->feed(std::span(ids).subspan(12, 5)));
  REQUIRE((*decoder)->cached() == 17);
  REQUIRE((*decoder)->truncate(8));
  const auto again = (*decoder)->feed(std::span(ids).subspan(8, 4));
  REQUIRE(again);
  REQUIRE(Floats(again->begin(), again->end()) == expected);
  REQUIRE_FALSE((*decoder)->truncate(13));
  const auto full = (*decoder)->feed(std::span(ids).first(9));
  REQUIRE_FALSE(full);
  REQUIRE(full.error().message == "the context is full: 20 positions");
  REQUIRE((*decoder)->cached() == 12);
  REQUIRE_FALSE((*decoder)->feed(std::vector<std::int32_t>{24}));
  (*decoder)->reset();
  const auto more = (*decoder)->feed(tokens(21));
  REQUIRE_FALSE(more);
  REQUIRE(more.error().message == "the context is full: 20 positions");
}

TEST_CASE("samplers pick by their options") {
  const Floats logits = {0, 3, 1, 2.9f, -5};
  runtime::Sampler greedy({});
  REQUIRE(greedy.sample(logits) == 1);
  runtime::Sampler penalized({.repetition_penalty = 2});
  const std::int32_t seen = 1;
  penalized.accept(std::span(&seen, 1));
  REQUIRE(penalized.sample(logits) == 3);
  REQUIRE(runtime::Sampler({.temperature = 1, .top_k = 1}).sample(logits) == 1);
  REQUIRE(runtime::Sampler({.temperature = 1, .top_p = 0.01f}).sample(logits) == 1);
  auto draw = [&](runtime::SamplingOptions options) {
    runtime::Sampler sampler(options);
    std::vector<int> counts(5, 0);
    for (int i = 0; i < 4000; ++i) ++counts[static_cast<std::size_t>(sampler.sample(logits))];
    return counts;
  };
  const auto all = draw({.temperature = 1, .seed = 3});
  REQUIRE(all == draw({.temperature = 1, .seed = 3}));
  REQUIRE(all != draw({.temperature = 1, .seed = 4}));
  double total = 0;
  for (const float logit : logits) total += std::exp(static_cast<double>(logit));
  for (std::size_t i = 0; i < 5; ++i)
    REQUIRE(all[i] / 4000.0 ==
            Approx(std::exp(static_cast<double>(logits[i])) / total).margin(0.03));
  const auto two = draw({.temperature = 1, .min_p = 0.5f});
  REQUIRE(two[1] + two[3] == 4000);
  REQUIRE(two[3] > 1000);
  const auto three = draw({.temperature = 1, .top_k = 4, .top_p = 0.95f});  // .47 + .43 + .06
  REQUIRE(three[1] + three[3] + three[2] == 4000);
  REQUIRE(three[2] > 100);
  REQUIRE(two == draw({.temperature = 1, .top_k = 2, .min_p = 0.5f}));
}
