#include "ir/text_form.h"

#include "support/half.h"

namespace thimble::ir {

std::optional<PlainValues> plain_values(DType type, const AttributeValue& list) {
  const auto* integers = std::get_if<std::vector<std::int64_t>>(&list);
  const auto* reals = std::get_if<std::vector<float>>(&list);
  if (integers == nullptr && (reals == nullptr || !dtype_is_float(type))) return std::nullopt;
  PlainValues out;
  out.count = integers != nullptr ? integers->size() : reals->size();
  const auto append = [&](auto value) {
    const auto* raw = reinterpret_cast<const std::byte*>(&value);
    out.bytes.insert(out.bytes.end(), raw, raw + sizeof value);
  };
  for (std::size_t i = 0; i < out.count; ++i) {
    const std::int64_t whole = integers != nullptr ? (*integers)[i] : 0;
    const float real = reals != nullptr ? (*reals)[i] : static_cast<float>(whole);
    switch (type) {
      case DType::kF32:
        append(real);
        break;
      case DType::kF16:
        append(float_to_half(real));
        break;
      case DType::kBF16:
        append(float_to_bfloat(real));
        break;
      case DType::kI64:
        append(whole);
        break;
      case DType::kI32:
        append(static_cast<std::int32_t>(whole));
        break;
      case DType::kI8:
      case DType::kU8:
        append(static_cast<std::uint8_t>(whole));
        break;
      case DType::kBool:
        append(static_cast<std::uint8_t>(whole != 0));
        break;
      default:
        return std::nullopt;
    }
  }
  return out;
}

}  // namespace thimble::ir
