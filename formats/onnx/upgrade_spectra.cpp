// Fourier transforms of a known length, as products with constant matrices: DFT as MatMul, STFT as
// Conv.

#include <array>

#include "formats/onnx/upgrade.h"
#include "support/math.h"

namespace thimble::formats::onnx {
namespace {

using Integers = std::vector<std::int64_t>;

constexpr std::int64_t kMostLength = 4096;  // whose matrix takes 64 MiB, or twice that

// An input that is one constant number.
Expected<std::int64_t> integer_of(Rewriter& r, std::size_t input, const std::string& what) {
  const ir::Weight* weight = r.weight_of(r.input(input));
  if (weight == nullptr || weight->element_count() != 1)
    return r.refuse("its " + what + " must be a constant number");
  THIMBLE_ASSIGN(const std::vector<std::int64_t> values, ir::read_integers(*weight));
  return values[0];
}

Status check_length(Rewriter& r, std::int64_t length) {
  if (length >= 1 && length <= kMostLength) return ok();
  return r.refuse("a length of " + std::to_string(length) + ", and not 1 to " +
                  std::to_string(kMostLength));
}

// exp(-2 pi i jk / length).
struct Turn {
  float re, im;
};
Turn turn_of(std::int64_t j, std::int64_t k, std::int64_t length) {
  constexpr double kTwoPi = 6.283185307179586;
  const double angle = kTwoPi * static_cast<double>(j * k % length) / static_cast<double>(length);
  return {static_cast<float>(math::cos(angle)), static_cast<float>(-math::sin(angle))};
}

// ---- DFT

struct Transform {
  std::int64_t rank = 0, axis = 0;  // counted from the front
  std::int64_t size = 0;            // of the axis
  std::int64_t parts = 0, out_parts = 2;
  std::int64_t length = 0, bins = 0;
  bool inverse = false, onesided = false;
};

Expected<Transform> transform_of(Rewriter& r) {
  Transform t;
  t.inverse = r.node().integer("inverse", 0) != 0;
  t.onesided = r.node().integer("onesided", 0) != 0;
  t.axis = r.opset < 20 ? r.node().integer("axis", 1) : -2;
  const auto& shape = r.has(0) ? r.graph().value(r.input(0)).shape : std::nullopt;
  if (!shape || shape->size() < 2) return r.refuse("the rank of what it reads must be known");
  t.rank = static_cast<std::int64_t>(shape->size());
  if (r.has(2)) {
    THIMBLE_ASSIGN(t.axis, integer_of(r, 2, "axis"));
  }
  if (t.axis < 0) t.axis += t.rank;
  if (t.axis < 0 || t.axis >= t.rank - 1) return r.refuse("there is no such axis");
  t.size = (*shape)[static_cast<std::size_t>(t.axis)].constant().value_or(0);
  t.parts = shape->back().constant().value_or(0);
  if (t.parts != 1 && t.parts != 2) return r.refuse("its last axis must be of size 1 or 2");
  if (t.size < 1) return r.refuse("the size of its axis must be known");
  const bool real_result = t.inverse && t.onesided;
  t.length = real_result ? 2 * (t.size - 1) : t.size;
  if (r.has(1)) {
    THIMBLE_ASSIGN(t.length, integer_of(r, 1, "length"));
  }
  THIMBLE_TRY(check_length(r, t.length));
  THIMBLE_TRY(check_length(r, t.size));
  t.out_parts = real_result ? 1 : 2;
  t.bins = t.onesided && !t.inverse ? t.length / 2 + 1 : t.length;
  return t;
}

// [size * parts, bins * out_parts]: what lies past the transform's length doesn't count.
std::vector<float> matrix_of(const Transform& t) {
  std::vector<float> out(static_cast<std::size_t>(t.size * t.parts * t.bins * t.out_parts));
  const std::int64_t given = t.out_parts == 1 ? t.length / 2 + 1 : t.length;
  for (std::int64_t j = 0; j < std::min(t.size, given); ++j) {
    // Half of a spectrum stands for the other half, too.
    const bool twice = t.out_parts == 1 && j != 0 && 2 * j != t.length;
    const float factor = (twice ? 2.0f : 1.0f) / static_cast<float>(t.inverse ? t.length : 1);
    for (std::int64_t k = 0; k < t.bins; ++k) {
      Turn turn = turn_of(j, k, t.length);
      if (t.inverse) turn.im = -turn.im;
      const float entries[2][2] = {{turn.re, turn.im}, {-turn.im, turn.re}};
      for (std::int64_t from = 0; from < t.parts; ++from) {
        for (std::int64_t to = 0; to < t.out_parts; ++to) {
          const std::int64_t row = j * t.parts + from, column = k * t.out_parts + to;
          out[static_cast<std::size_t>(row * t.bins * t.out_parts + column)] =
              factor * entries[from][to];
        }
      }
    }
  }
  return out;
}

// The axis that is transformed to where products have theirs, and back.
ir::ValueId swapped(Rewriter& r, const Transform& t, ir::ValueId x) {
  if (t.axis == t.rank - 2) return x;
  Integers perm;
  for (std::int64_t i = 0; i < t.rank; ++i) perm.push_back(i);
  std::swap(perm[static_cast<std::size_t>(t.axis)], perm[static_cast<std::size_t>(t.rank - 2)]);
  return r.emit("Transpose", {x}, {{"perm", perm}});
}

Status dft(Rewriter& r) {
  THIMBLE_ASSIGN(const Transform t, transform_of(r));
  const auto others = static_cast<std::size_t>(t.rank - 2);
  Integers flat(others, 0), split(others, 0);
  flat.push_back(t.size * t.parts);
  split.insert(split.end(), {t.bins, t.out_parts});
  const Integers dims = {t.size * t.parts, t.bins * t.out_parts};
  const ir::ValueId matrix = r.constant(ir::make_dense("", dims, matrix_of(t)));
  const ir::ValueId x = r.emit("Reshape", {swapped(r, t, r.input(0)), r.integers(flat)});
  const ir::ValueId y = r.emit("Reshape", {r.emit("MatMul", {x, matrix}), r.integers(split)});
  r.replace({t.axis == t.rank - 2 ? r.emit("Identity", {y}) : swapped(r, t, y)});
  return ok();
}

// ---- STFT

// [2 bins, 1, length]: cosines, then sines.
std::vector<float> filters_of(std::int64_t bins, std::int64_t length) {
  std::vector<float> out(static_cast<std::size_t>(2 * bins * length));
  for (std::int64_t k = 0; k < bins; ++k) {
    for (std::int64_t n = 0; n < length; ++n) {
      const Turn turn = turn_of(n, k, length);
      out[static_cast<std::size_t>(k * length + n)] = turn.re;
      out[static_cast<std::size_t>((bins + k) * length + n)] = turn.im;
    }
  }
  return out;
}

Expected<std::int64_t> frame_length(Rewriter& r) {
  if (r.has(3)) return integer_of(r, 3, "frame length");
  const auto& shape = r.has(2) ? r.graph().value(r.input(2)).shape : std::nullopt;
  if (!shape || shape->size() != 1 || !(*shape)[0].constant())
    return r.refuse("its frame length must be a constant, or its window of a known size");
  return *(*shape)[0].constant();
}

// Inputs: signal [batch, samples, 1], step, window, frame length. PyTorch's exporter leaves out the
// last axis, as ONNX Runtime allows.
Status stft(Rewriter& r) {
  if (!r.has(0) || !r.has(1)) return r.refuse("it needs a signal and a step");
  THIMBLE_ASSIGN(const std::int64_t step, integer_of(r, 1, "step"));
  THIMBLE_ASSIGN(const std::int64_t length, frame_length(r));
  THIMBLE_TRY(check_length(r, length));
  const std::int64_t bins = r.node().integer("onesided", 1) != 0 ? length / 2 + 1 : length;
  const auto& shape = r.graph().value(r.input(0)).shape;  // valid until a value is added
  if (shape && shape->size() == 3 && shape->back() == ir::Dim(2))
    return r.refuse("a signal of complex numbers");
  const bool flat = shape && shape->size() == 2;
  const Integers dims = {2 * bins, 1, length};
  ir::ValueId filters = r.constant(ir::make_dense("", dims, filters_of(bins, length)));
  if (r.has(2)) filters = r.emit("Mul", {filters, r.input(2)});
  const ir::ValueId x = flat ? r.emit("Unsqueeze", {r.input(0), r.integers({1})})
                             : r.emit("Transpose", {r.input(0)}, {{"perm", Integers{0, 2, 1}}});
  const ir::ValueId y = r.emit("Conv", {x, filters}, {{"strides", Integers{step}}});
  const ir::ValueId split = r.emit("Reshape", {y, r.integers({0, 2, bins, -1})});
  r.replace({r.emit("Transpose", {split}, {{"perm", Integers{0, 3, 2, 1}}})});
  return ok();
}

constexpr std::array kUpgradeSpectra = {
    Adapter{"DFT", kAlways, dft},
    Adapter{"STFT", kAlways, stft},
};

}  // namespace

std::span<const Adapter> spectrum_adapters() { return kUpgradeSpectra; }

}  // namespace thimble::formats::onnx
