// Cast between any two types, and BitCast.

#include <cstring>

#include "runtime/ops/numbers.h"
#include "runtime/widen.h"
#include "support/half.h"

namespace thimble::runtime {
namespace {

using program::Op;
using program::Type;

Rounding rounding_of(const Call& call) {
  Rounding rounding;
  rounding.saturate = call.instruction.integer("saturate", 1) != 0;
  const program::Attribute* mode = call.instruction.find("round_mode");
  if (mode != nullptr && mode->text == "down") rounding.power = Rounding::Power::kDown;
  if (mode != nullptr && mode->text == "nearest") rounding.power = Rounding::Power::kNearest;
  return rounding;
}

// The pairs that models cast large values between.
bool cast_fast(const Value& x, Value& y, std::int64_t from, std::int64_t count) {
  if (x.type == Type::kF32 && y.type == Type::kF16) {
    auto* to = data_of<std::uint16_t>(y) + from;
    for (std::int64_t i = 0; i < count; ++i) to[i] = float_to_half(x.floats()[from + i]);
  } else if (x.type == Type::kF16 && y.type == Type::kF32) {
    widen(x.type, data_of<std::uint16_t>(x) + from, count, y.floats() + from);
  } else if (x.type == y.type) {
    std::memcpy(bytes_of(y) + static_cast<std::size_t>(from) * element_bytes(y),
                bytes_of(x) + static_cast<std::size_t>(from) * element_bytes(x),
                static_cast<std::size_t>(count) * element_bytes(x));
  } else {
    return false;
  }
  return true;
}

Status run_cast(Call& call) {
  const Value& x = *call.inputs[0];
  Value& y = *call.outputs[0];
  const Rounding rounding = rounding_of(call);
  over_pieces(call, x.count(), [&](std::int64_t from, std::int64_t count) {
    if (cast_fast(x, y, from, count)) return;
    for (std::int64_t i = from; i < from + count; ++i) {
      switch (family_of(x.type)) {
        case Family::kReal:
          set_element(y, i, element<double>(x, i), rounding);
          break;
        case Family::kSigned:
          set_element(y, i, element<std::int64_t>(x, i), rounding);
          break;
        default:
          set_element(y, i, element<std::uint64_t>(x, i), rounding);
          break;
      }
    }
  });
  return ok();
}

Status shape_bits(const Call& call, std::vector<Dims>& results) {
  THIMBLE_TRY(demand(element_bytes(*call.inputs[0]) == element_bytes(*call.outputs[0]),
                     "BitCast is between types of as many bits"));
  return shape_same(call, results);
}

Status run_bits(Call& call) {
  if (call.inputs[0]->count() > 0)
    std::memcpy(call.outputs[0]->data, call.inputs[0]->data, byte_count(*call.inputs[0]));
  return ok();
}

}  // namespace

std::span<const Operator> conversion_operators() {
  static constexpr Operator kOperators[] = {
      {Op::kCast, run_cast, nullptr, shape_same},
      {Op::kBitCast, run_bits, nullptr, shape_bits},
  };
  return kOperators;
}

}  // namespace thimble::runtime
