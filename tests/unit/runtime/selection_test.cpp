#include <algorithm>
#include <limits>
#include <numeric>
#include <random>

#include "unit/runtime/run_program.h"

using namespace thimble;
using namespace thimble::test;

namespace {

using I64 = std::vector<std::int64_t>;
using F32 = std::vector<float>;

// Runs an instruction that finds its results' dims itself; the first result, and its dims.
template <class T>
struct Found {
  std::vector<T> values;
  I64 dims;
};

struct FoundOp {
  OneOp op;
  template <class T>
  FoundOp& with(p::Type type, I64 dims, const std::vector<T>& values) {
    op.with(type, std::move(dims), values);
    return *this;
  }
  template <class T>
  Found<T> run(p::Op code, p::Type type, std::vector<p::Attribute> attributes = {}) {
    finish(code, {type}, std::move(attributes));
    ThreadPool pool(2);
    auto session = runtime::Session::create(op.b.bundle, pool);
    if (!session) FAIL(session.error().to_string());
    if (Status status = (*session)->run(op.views); !status) FAIL(status.error().to_string());
    return {copy_of<T>((*session)->outputs()[0]), (*session)->outputs()[0].dims};
  }
  std::string error(p::Op code, p::Type type, std::vector<p::Attribute> attributes = {}) {
    finish(code, {type}, std::move(attributes));
    ThreadPool pool(1);
    auto session = runtime::Session::create(op.b.bundle, pool);
    if (!session) return session.error().message;
    const Status status = (*session)->run(op.views);
    return status ? "" : status.error().message;
  }
  void finish(p::Op code, const std::vector<p::Type>& types, std::vector<p::Attribute> attributes) {
    std::vector<std::int32_t> results;
    for (const p::Type type : types) {
      results.push_back(op.b.activation("y", type, {}));
      op.b.program().slots.back().dynamic = true;
    }
    op.b.run(code, op.slots, results, std::move(attributes));
    for (const std::int32_t result : results) op.b.output(result);
  }
};

p::Attribute text(std::string name, std::string value) {
  return {std::move(name), {}, {}, std::move(value)};
}

const F32 kSix = {0, 1, 2, 3, 4, 5};

}  // namespace

TEST_CASE("reshape reads its sizes as it runs") {
  FoundOp op;
  const I64 dims = {0, -1, 1};
  const auto y = op.with(p::Type::kF32, {2, 3}, kSix)
                     .with(p::Type::kI64, {3}, dims)
                     .run<float>(p::Op::kReshapeTo, p::Type::kF32);
  CHECK(y.dims == I64{2, 3, 1});
  CHECK(y.values == kSix);
  FoundOp bad;
  const I64 odd = {4, -1};
  CHECK(bad.with(p::Type::kF32, {2, 3}, kSix)
            .with(p::Type::kI64, {2}, odd)
            .error(p::Op::kReshapeTo, p::Type::kF32) == "6 elements do not divide by 4");
}

TEST_CASE("slices go forwards and backwards, past the ends and in steps") {
  const auto slice = [](I64 start, I64 end, I64 axis, I64 step) {
    FoundOp op;
    const auto one = static_cast<std::int64_t>(start.size());
    return op.with(p::Type::kF32, {2, 3}, kSix)
        .with(p::Type::kI64, {one}, start)
        .with(p::Type::kI64, {one}, end)
        .with(p::Type::kI64, {one}, axis)
        .with(p::Type::kI64, {one}, step)
        .run<float>(p::Op::kSliceBy, p::Type::kF32);
  };
  constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
  CHECK(slice({1}, {100}, {-1}, {1}).values == F32{1, 2, 4, 5});
  CHECK(slice({-1}, {kLeast}, {1}, {-1}).values == F32{2, 1, 0, 5, 4, 3});
  CHECK(slice({-1, 1}, {kLeast, 2}, {0, 1}, {-1, 7}).values == F32{4, 1});
  CHECK(slice({2}, {1}, {1}, {1}).dims == I64{2, 0});
  CHECK(slice({0}, {3}, {1}, {kLeast}).dims == I64{2, 0});
}

TEST_CASE("a split's parts may be empty") {
  FoundOp op;
  const I64 sizes = {2, 0, 1};
  op.with(p::Type::kF32, {2, 3}, kSix).with(p::Type::kI64, {3}, sizes);
  op.finish(p::Op::kSplit, {p::Type::kF32, p::Type::kF32, p::Type::kF32}, {ints("axis", {-1})});
  ThreadPool pool(1);
  auto session = runtime::Session::create(op.op.b.bundle, pool);
  REQUIRE(session);
  REQUIRE((*session)->run(op.op.views));
  const auto& parts = (*session)->outputs();
  CHECK(copy_of<float>(parts[0]) == F32{0, 1, 3, 4});
  CHECK(parts[1].dims == I64{2, 0});
  CHECK(copy_of<float>(parts[2]) == F32{2, 5});
}

TEST_CASE("Tile repeats along every axis") {
  FoundOp op;
  const I64 repeats = {2, 1, 2};
  const auto y = op.with(p::Type::kU8, {1, 2, 2}, std::vector<std::uint8_t>{1, 2, 3, 4})
                     .with(p::Type::kI64, {3}, repeats)
                     .run<std::uint8_t>(p::Op::kTile, p::Type::kU8);
  CHECK(y.dims == I64{2, 2, 4});
  CHECK(y.values == std::vector<std::uint8_t>{1, 2, 1, 2, 3, 4, 3, 4, 1, 2, 1, 2, 3, 4, 3, 4});
}

TEST_CASE("gathers take negative indices and refuse those outside") {
  const I64 indices = {1, 0, -1, 2};
  FoundOp elements;
  CHECK(elements.with(p::Type::kF32, {2, 3}, kSix)
            .with(p::Type::kI64, {2, 2}, indices)
            .run<float>(p::Op::kGatherElements, p::Type::kF32, {ints("axis", {1})})
            .values == F32{1, 0, 5, 5});
  FoundOp outside;
  const I64 far = {3, 0, 0, 0};
  CHECK(outside.with(p::Type::kF32, {2, 3}, kSix)
            .with(p::Type::kI64, {2, 2}, far)
            .error(p::Op::kGatherElements, p::Type::kF32, {ints("axis", {1})}) ==
        "index 3 is out of range: there are 3 rows");
  FoundOp nd;
  const I64 rows = {1, -1};
  const auto y = nd.with(p::Type::kF32, {2, 3}, kSix)
                     .with(p::Type::kI64, {2, 1}, rows)
                     .run<float>(p::Op::kGatherNd, p::Type::kF32);
  CHECK(y.dims == I64{2, 3});
  CHECK(y.values == F32{3, 4, 5, 3, 4, 5});
  FoundOp batched;
  const I64 columns = {2, 0};
  CHECK(batched.with(p::Type::kF32, {2, 3}, kSix)
            .with(p::Type::kI64, {2, 1}, columns)
            .run<float>(p::Op::kGatherNd, p::Type::kF32, {ints("batch_dims", {1})})
            .values == F32{2, 3});
}

TEST_CASE("scatters write or reduce in the order of their updates") {
  const auto scatter = [](std::string reduction) {
    FoundOp op;
    const I64 indices = {1, 1};
    const F32 updates = {10, 3};
    return op.with(p::Type::kF32, {3}, F32{1, 2, 4})
        .with(p::Type::kI64, {2}, indices)
        .with(p::Type::kF32, {2}, updates)
        .run<float>(p::Op::kScatterElements, p::Type::kF32, {text("reduction", reduction)})
        .values;
  };
  CHECK(scatter("none") == F32{1, 3, 4});
  CHECK(scatter("add") == F32{1, 15, 4});
  CHECK(scatter("mul") == F32{1, 60, 4});
  CHECK(scatter("max") == F32{1, 10, 4});
  CHECK(scatter("min") == F32{1, 2, 4});
  FoundOp nd;
  const I64 row = {1};
  const F32 update = {7, 8, 9};
  CHECK(nd.with(p::Type::kF32, {2, 3}, kSix)
            .with(p::Type::kI64, {1, 1}, row)
            .with(p::Type::kF32, {1, 3}, update)
            .run<float>(p::Op::kScatterNd, p::Type::kF32)
            .values == F32{0, 1, 2, 7, 8, 9});
  FoundOp cache;
  const I64 start = {2};
  CHECK(cache.with(p::Type::kF32, {1, 3, 1}, F32{0, 0, 0})
            .with(p::Type::kF32, {1, 2, 1}, F32{5, 6})
            .with(p::Type::kI64, {1}, start)
            .run<float>(p::Op::kTensorScatter, p::Type::kF32, {text("mode", "circular")})
            .values == F32{6, 0, 5});
}

// Lines of every length, beside each axis, with indices that are broadcast and that are not.
TEST_CASE("scattered elements go where their indices say, whatever lies beside the axis") {
  std::mt19937 random(3);
  const I64 dims = {6, 5, 40};
  for (std::int64_t axis = 0; axis < 3; ++axis) {
    for (const I64& part : {I64{9, 5, 40}, I64{4, 5, 37}, I64{3, 2, 40}}) {
      I64 shape = part;
      if (axis != 0) shape = {4, part[1], part[2]};
      const auto count = static_cast<std::size_t>(shape[0] * shape[1] * shape[2]);
      const auto a = static_cast<std::size_t>(axis);
      F32 x(static_cast<std::size_t>(6 * 5 * 40)), updates(count);
      std::iota(x.begin(), x.end(), 0.0f);
      I64 indices(count);
      std::int64_t given = 0;
      for (std::size_t i = 0; i < count; ++i) {
        updates[i] = -static_cast<float>(i);
        if (i < count / 2 || i % 50 == 0) given = static_cast<std::int64_t>(random()) % dims[a];
        indices[i] = i < count / 2 && i % 2 == 0 ? given - dims[a] : given;
      }
      F32 expected = x;
      for (std::size_t i = 0; i < count; ++i) {
        const auto flat = static_cast<std::int64_t>(i);
        I64 at = {flat / (shape[1] * shape[2]), flat / shape[2] % shape[1], flat % shape[2]};
        at[a] = indices[i] < 0 ? indices[i] + dims[a] : indices[i];
        expected[static_cast<std::size_t>((at[0] * dims[1] + at[1]) * dims[2] + at[2])] =
            updates[i];
      }
      FoundOp op;
      CHECK(op.with(p::Type::kF32, dims, x)
                .with(p::Type::kI64, shape, indices)
                .with(p::Type::kF32, shape, updates)
                .run<float>(p::Op::kScatterElements, p::Type::kF32, {ints("axis", {axis})})
                .values == expected);
      indices[count - 1] = dims[a];
      indices[count / 2] = -1 - dims[a];
      FoundOp wrong;
      CHECK(wrong.with(p::Type::kF32, dims, x)
                .with(p::Type::kI64, shape, indices)
                .with(p::Type::kF32, shape, updates)
                .error(p::Op::kScatterElements, p::Type::kF32, {ints("axis", {axis})})
                .find("index " + std::to_string(-1 - dims[a])) == 0);
    }
  }
}

TEST_CASE("results whose length is found: NonZero, Compress, Unique") {
  FoundOp zeros;
  const auto places = zeros.with(p::Type::kF32, {2, 3}, F32{0, 1, -0.0f, 3, 0, 5})
                          .run<std::int64_t>(p::Op::kNonZero, p::Type::kI64);
  CHECK(places.dims == I64{2, 3});
  CHECK(places.values == I64{0, 1, 1, 1, 0, 2});
  FoundOp some;
  const std::vector<std::uint8_t> condition = {0, 1};
  CHECK(some.with(p::Type::kF32, {2, 3}, kSix)
            .with(p::Type::kBool, {2}, condition)
            .run<float>(p::Op::kCompress, p::Type::kF32, {ints("axis", {1})})
            .values == F32{1, 4});
  FoundOp kinds;
  const F32 mixed = {2, 1, 1, 3, 2};
  kinds.with(p::Type::kF32, {5}, mixed);
  kinds.finish(p::Op::kUnique, {p::Type::kF32, p::Type::kI64, p::Type::kI64, p::Type::kI64},
               {ints("sorted", {0})});
  ThreadPool pool(1);
  auto session = runtime::Session::create(kinds.op.b.bundle, pool);
  REQUIRE(session);
  REQUIRE((*session)->run(kinds.op.views));
  const auto& out = (*session)->outputs();
  CHECK(copy_of<float>(out[0]) == F32{2, 1, 3});
  CHECK(copy_of<std::int64_t>(out[1]) == I64{0, 1, 3});
  CHECK(copy_of<std::int64_t>(out[2]) == I64{0, 1, 1, 2, 0});
  CHECK(copy_of<std::int64_t>(out[3]) == I64{2, 2, 1});
}

TEST_CASE("overlapping boxes give way to better ones") {
  FoundOp op;
  const F32 boxes = {0, 0, 2, 2, 0, 0, 2, 1.9f, 5, 5, 6, 6}, scores = {0.5f, 0.9f, 0.3f};
  const I64 most = {3};
  const F32 limit = {0.5f};
  CHECK(op.with(p::Type::kF32, {1, 3, 4}, boxes)
            .with(p::Type::kF32, {1, 1, 3}, scores)
            .with(p::Type::kI64, {1}, most)
            .with(p::Type::kF32, {1}, limit)
            .run<std::int64_t>(p::Op::kNonMaxSuppression, p::Type::kI64)
            .values == I64{0, 0, 1, 0, 0, 2});
}

namespace {

// The rule itself, pair by pair.
I64 kept_by_rule(const F32& boxes, const F32& scores, std::int64_t classes, float limit) {
  const std::size_t count = boxes.size() / 4;
  const auto side = [&](std::size_t box, std::size_t s) { return boxes[4 * box + s]; };
  const auto area = [&](std::size_t b) {
    return (side(b, 2) - side(b, 0)) * (side(b, 3) - side(b, 1));
  };
  const auto overlap = [&](std::size_t a, std::size_t b) {
    const float high = std::min(side(a, 2), side(b, 2)) - std::max(side(a, 0), side(b, 0));
    const float wide = std::min(side(a, 3), side(b, 3)) - std::max(side(a, 1), side(b, 1));
    return high > 0 && wide > 0 && high * wide / (area(a) + area(b) - high * wide) > limit;
  };
  I64 found;
  for (std::size_t c = 0; c < static_cast<std::size_t>(classes); ++c) {
    std::vector<std::size_t> order(count), kept;
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return scores[c * count + a] > scores[c * count + b];
    });
    for (const std::size_t i : order) {
      if (std::any_of(kept.begin(), kept.end(), [&](std::size_t k) { return overlap(k, i); }))
        continue;
      kept.push_back(i);
      found.insert(found.end(), {0, static_cast<std::int64_t>(c), static_cast<std::int64_t>(i)});
    }
  }
  return found;
}

}  // namespace

// Enough boxes for many strips: small ones, wide ones, one without a size and one without an end.
TEST_CASE("many boxes give way to each other as few do") {
  constexpr std::int64_t kCount = 3000, kClasses = 3;
  std::mt19937 random(5);
  const auto below = [&](float most) {
    return most * static_cast<float>(random() % 4096) / 4096.0f;
  };
  F32 boxes, scores;
  for (std::int64_t i = 0; i < kCount; ++i) {
    const float top = below(300), left = below(3000), high = 1 + below(40);
    const float wide = i % 10 == 0 ? 200 + below(900) : below(60);
    boxes.insert(boxes.end(), {top, left, top + high, left + wide});
  }
  boxes[2] = boxes[0];
  boxes[7] = std::numeric_limits<float>::infinity();
  boxes[9] = std::numeric_limits<float>::quiet_NaN();
  for (std::int64_t i = 0; i < kCount * kClasses; ++i)
    scores.push_back(static_cast<float>(random() % 500));
  const I64 most = {kCount};
  for (const float limit : {0.0f, 0.3f, 0.7f}) {
    FoundOp op;
    const F32 given = {limit};
    CHECK(op.with(p::Type::kF32, {1, kCount, 4}, boxes)
              .with(p::Type::kF32, {1, kClasses, kCount}, scores)
              .with(p::Type::kI64, {1}, most)
              .with(p::Type::kF32, {1}, given)
              .run<std::int64_t>(p::Op::kNonMaxSuppression, p::Type::kI64)
              .values == kept_by_rule(boxes, scores, kClasses, limit));
  }
}

TEST_CASE("ranges of every type end before their limit") {
  const I64 start = {10}, limit = {4}, step = {-3};
  FoundOp whole;
  CHECK(whole.with(p::Type::kI64, {}, start)
            .with(p::Type::kI64, {}, limit)
            .with(p::Type::kI64, {}, step)
            .run<std::int64_t>(p::Op::kRangeOf, p::Type::kI64)
            .values == I64{10, 7});
  const F32 a = {0}, b = {1}, c = {0.4f};
  FoundOp real;
  CHECK(real.with(p::Type::kF32, {}, a)
            .with(p::Type::kF32, {}, b)
            .with(p::Type::kF32, {}, c)
            .run<float>(p::Op::kRangeOf, p::Type::kF32)
            .values.size() == 3);
  const I64 zero = {0};
  FoundOp endless;
  CHECK(endless.with(p::Type::kI64, {}, start)
            .with(p::Type::kI64, {}, limit)
            .with(p::Type::kI64, {}, zero)
            .error(p::Op::kRangeOf, p::Type::kI64) == "a Range's step is 0");
}

TEST_CASE("a value whose size is found may not be larger than the session allows") {
  const I64 start = {0}, limit = {100}, step = {1};
  FoundOp range;
  range.with(p::Type::kI64, {}, start).with(p::Type::kI64, {}, limit).with(p::Type::kI64, {}, step);
  range.finish(p::Op::kRangeOf, {p::Type::kI64}, {});
  ThreadPool pool(1);
  for (const std::uint64_t bytes : {799, 800}) {
    const auto session =
        runtime::Session::create(range.op.b.bundle, pool, {.max_value_bytes = bytes});
    REQUIRE(session);
    const Status status = (*session)->run(range.op.views);
    CHECK(status.has_value() == (bytes == 800));
    if (!status)
      CHECK(status.error().to_string().find("a value would be too large") != std::string::npos);
  }
}

TEST_CASE("Trilu keeps one side of a diagonal") {
  const auto part = [](std::int64_t upper, std::int64_t k) {
    FoundOp op;
    const I64 shift = {k};
    return op.with(p::Type::kF32, {2, 3}, F32{1, 2, 3, 4, 5, 6})
        .with(p::Type::kI64, {}, shift)
        .run<float>(p::Op::kTrilu, p::Type::kF32, {ints("upper", {upper})})
        .values;
  };
  CHECK(part(1, 0) == F32{1, 2, 3, 0, 5, 6});
  CHECK(part(0, 0) == F32{1, 0, 0, 4, 5, 0});
  CHECK(part(0, -5) == F32(6, 0));
  CHECK(part(1, -5) == F32{1, 2, 3, 4, 5, 6});
}

TEST_CASE("attention with a mask that hides every key gives zeros") {
  FoundOp op;
  const F32 one = {1, 2}, v = {3, 4};
  const std::vector<std::uint8_t> mask = {0, 0, 1, 0};
  const auto y = op.with(p::Type::kF32, {1, 1, 2, 1}, one)
                     .with(p::Type::kF32, {1, 1, 2, 1}, one)
                     .with(p::Type::kF32, {1, 1, 2, 1}, v)
                     .with(p::Type::kBool, {2, 2}, mask)
                     .run<float>(p::Op::kAttentionOf, p::Type::kF32);
  CHECK(y.values == F32{0, 3});
}

TEST_CASE("attention refuses heads that don't divide") {
  FoundOp op;
  const F32 q(6, 1.0f);
  CHECK(op.with(p::Type::kF32, {1, 3, 1, 2}, q)
            .with(p::Type::kF32, {1, 2, 1, 3}, q)
            .with(p::Type::kF32, {1, 2, 1, 3}, q)
            .error(p::Op::kAttentionOf, p::Type::kF32) ==
        "attention's queries, keys and values don't fit");
}

TEST_CASE("a gated state decays, is corrected and is read by its group of queries") {
  FoundOp op;
  const F32 q = {1, 2}, k = {1}, v = {4}, past = {2}, decay = {0}, beta = {0.5f};
  // state = 2, then 2 + 0.5 * (4 - 2) = 3; each query times it.
  const auto y = op.with(p::Type::kF32, {1, 1, 2}, q)
                     .with(p::Type::kF32, {1, 1, 1}, k)
                     .with(p::Type::kF32, {1, 1, 1}, v)
                     .with(p::Type::kF32, {1, 1, 1, 1}, past)
                     .with(p::Type::kF32, {1, 1, 1}, decay)
                     .with(p::Type::kF32, {1, 1, 1}, beta)
                     .run<float>(p::Op::kLinearAttention, p::Type::kF32,
                                 {ints("q_num_heads", {2}), ints("kv_num_heads", {1})});
  CHECK(y.values == F32{3, 6});
}

TEST_CASE("a causal convolution reads what came before") {
  FoundOp op;
  const F32 x = {1, 2, 3}, w = {10, 1};
  CHECK(op.with(p::Type::kF32, {1, 1, 3}, x)
            .with(p::Type::kF32, {1, 1, 2}, w)
            .run<float>(p::Op::kCausalConvWithState, p::Type::kF32)
            .values == F32{1, 12, 23});
}
