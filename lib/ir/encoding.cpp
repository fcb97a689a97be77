#include "ir/encoding.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <string_view>

#include "support/checked.h"

namespace thimble::ir {
namespace {

std::string float_text(float value) {
  char buffer[32];
  return std::string(buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr);
}

std::string kind_text(const Encoding& e) {
  const std::string bits = std::to_string(e.bits);
  switch (e.kind) {
    case EncodingKind::kAffine:
    case EncodingKind::kSuperBlock:
      return (e.zero == ZeroKind::kConstant ? "int" : "uint") + bits;
    case EncodingKind::kCodebook:
      return "codebook" + bits;
    case EncodingKind::kTernary:
      return "ternary";
    case EncodingKind::kSparse:
      return "sparse";
    case EncodingKind::kDense:
      break;
  }
  return "dense";
}

std::string zero_text(const Encoding& e) {
  if (e.zero == ZeroKind::kPoints) return " points";
  if (e.zero == ZeroKind::kMinima) return " minima";
  if (e.bits > 0 && e.constant_zero == 1 << (e.bits - 1)) return " symmetric";
  return " zero " + std::to_string(e.constant_zero);
}

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    if (end > 0) words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

template <class T>
std::optional<T> number_of(std::string_view word) {
  T value{};
  const auto [end, code] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (code != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return value;
}

// The first word: the kind and the bits.
bool parse_kind(std::string_view word, Encoding& e) {
  const auto starts = [&](std::string_view prefix) {
    if (word.substr(0, prefix.size()) != prefix) return false;
    const auto bits = number_of<int>(word.substr(prefix.size()));
    if (!bits || *bits < 1 || *bits > 8) return false;
    e.bits = *bits;
    return true;
  };
  if (starts("int") || starts("uint")) {
    e.kind = EncodingKind::kAffine;
  } else if (starts("codebook")) {
    e.kind = EncodingKind::kCodebook;
  } else {
    return false;
  }
  return true;
}

}  // namespace

std::int64_t Encoding::group_width(std::int64_t inputs) const {
  return groups(inputs) == 1 ? inputs : group_size;
}

std::int64_t Encoding::groups(std::int64_t inputs) const {
  if (per_tensor || group_size <= 0 || inputs <= group_size) return 1;
  return ceil_div(inputs, group_size);
}

std::int64_t Encoding::supers(std::int64_t inputs) const {
  if (super_size <= 0 || inputs <= super_size) return 1;
  return ceil_div(inputs, super_size);
}

std::vector<StreamKind> Encoding::streams() const {
  switch (kind) {
    case EncodingKind::kDense:
      return {StreamKind::kDense};
    case EncodingKind::kAffine:
      if (zero == ZeroKind::kPoints) {
        return {StreamKind::kCodes, StreamKind::kScales, StreamKind::kZeroPoints};
      }
      if (zero == ZeroKind::kMinima) {
        return {StreamKind::kCodes, StreamKind::kScales, StreamKind::kMinima};
      }
      return {StreamKind::kCodes, StreamKind::kScales};
    case EncodingKind::kSuperBlock:
      if (zero == ZeroKind::kMinima) {
        return {StreamKind::kCodes, StreamKind::kScales, StreamKind::kMinima,
                StreamKind::kSubScales, StreamKind::kSubMinima};
      }
      if (!table.empty()) {
        return {StreamKind::kCodes, StreamKind::kScales, StreamKind::kSubScales,
                StreamKind::kCodebook};
      }
      return {StreamKind::kCodes, StreamKind::kScales, StreamKind::kSubScales};
    case EncodingKind::kCodebook:
      return {StreamKind::kCodes, StreamKind::kScales, StreamKind::kCodebook};
    case EncodingKind::kTernary:
      return {StreamKind::kCodes, StreamKind::kScales};
    case EncodingKind::kSparse:
      return {StreamKind::kMask, StreamKind::kDense};
  }
  return {};
}

std::uint64_t Encoding::payload_bits(std::int64_t rows, std::int64_t inputs,
                                     DType dense_type) const {
  using Wide = unsigned __int128;
  const auto wide = [](std::int64_t n) { return static_cast<Wide>(n < 0 ? 0 : n); };
  const auto type_bits = [](DType type) { return static_cast<Wide>(dtype_bits(type)); };
  const Wide elements = wide(rows) * wide(inputs);
  const Wide scale_count = per_tensor ? 1 : wide(rows) * wide(groups(inputs));
  const Wide super_count = wide(rows) * wide(supers(inputs));
  Wide bits_total = 0;
  for (const StreamKind stream : streams()) {
    const bool super = kind == EncodingKind::kSuperBlock;
    switch (stream) {
      case StreamKind::kDense:
        bits_total += elements * type_bits(dense_type);
        break;
      case StreamKind::kCodes:
        bits_total += elements * wide(bits);
        break;
      case StreamKind::kScales:
      case StreamKind::kMinima:
        bits_total += (super ? super_count : scale_count) * type_bits(scale_type);
        break;
      case StreamKind::kZeroPoints:
        bits_total += scale_count * wide(bits);
        break;
      case StreamKind::kSubScales:
      case StreamKind::kSubMinima:
        bits_total += scale_count * wide(sub_bits);
        break;
      case StreamKind::kSigns:
      case StreamKind::kMask:
        bits_total += elements;
        break;
      case StreamKind::kCodebook:
        bits_total += static_cast<Wide>(table.size()) * 32;
        break;
    }
  }
  const Wide most = std::numeric_limits<std::uint64_t>::max();
  return static_cast<std::uint64_t>(std::min(bits_total, most));
}

std::string Encoding::to_string() const {
  std::string out = kind_text(*this);
  if (kind == EncodingKind::kDense || kind == EncodingKind::kSparse) return out;
  out += per_tensor        ? " per-tensor"
         : group_size == 0 ? " per-channel"
                           : " group " + std::to_string(group_size);
  if (kind == EncodingKind::kSuperBlock) out += " super " + std::to_string(super_size);
  if (kind != EncodingKind::kCodebook) out += zero_text(*this);
  out += " " + std::string(dtype_name(scale_type));
  if (scale_exponent != 0) out += " exponent " + std::to_string(scale_exponent);
  if (kind == EncodingKind::kSuperBlock) {
    out += " sub " + std::to_string(sub_bits);
    if (sub_scale_zero != 0) out += " sub-zero " + std::to_string(sub_scale_zero);
  }
  if (axis != -1) out += " axis " + std::to_string(axis);
  if (flat) out += " flat";
  if (!table.empty()) out += " table";
  for (const float entry : table) out += " " + float_text(entry);
  return out;
}

Expected<Encoding> Encoding::parse(std::string_view text) {
  const auto wrong = [&] { return invalid_file("'" + std::string(text) + "' is no encoding"); };
  if (text == "dense") return dense();
  const std::vector<std::string_view> words = words_of(text);
  Encoding e;
  if (words.empty() || !parse_kind(words[0], e)) return wrong();
  e.constant_zero = 0;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::string_view word = words[i];
    const auto take_number = [&](auto& target) {
      const auto value = i + 1 < words.size()
                             ? number_of<std::remove_reference_t<decltype(target)>>(words[i + 1])
                             : std::nullopt;
      if (!value) return false;
      target = *value;
      ++i;
      return true;
    };
    bool good = true;
    if (word == "group") {
      good = take_number(e.group_size) && e.group_size > 0;
    } else if (word == "per-tensor") {
      e.per_tensor = true;
    } else if (word == "per-channel") {
      e.group_size = 0;
    } else if (word == "super") {
      e.kind = EncodingKind::kSuperBlock;
      good = take_number(e.super_size) && e.super_size > 0;
    } else if (word == "sub") {
      good = take_number(e.sub_bits);
    } else if (word == "sub-zero") {
      good = take_number(e.sub_scale_zero);
    } else if (word == "symmetric") {
      e.constant_zero = 1 << (e.bits - 1);
    } else if (word == "zero") {
      good = take_number(e.constant_zero);
    } else if (word == "points") {
      e.zero = ZeroKind::kPoints;
    } else if (word == "minima") {
      e.zero = ZeroKind::kMinima;
    } else if (word == "axis") {
      good = take_number(e.axis);
    } else if (word == "flat") {
      e.flat = true;
    } else if (word == "table") {
      for (float entry = 0; i + 1 < words.size() && take_number(entry);) e.table.push_back(entry);
    } else if (word == "exponent") {
      good = take_number(e.scale_exponent);
    } else if (word == "f16" || word == "bf16" || word == "f32" || word == "f8e8m0" ||
               word == "f8e4m3fn") {
      e.scale_type = *dtype_from_name(word);
    } else {
      good = false;
    }
    if (!good) return wrong();
  }
  return e;
}

}  // namespace thimble::ir
