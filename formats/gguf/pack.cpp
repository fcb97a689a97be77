#include "formats/gguf/pack.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ir/decode.h"
#include "quant/levels.h"
#include "support/half.h"

namespace thimble::formats::gguf {
namespace {

const BlockType* type_named(std::string_view name) {
  for (const BlockType& type : block_types()) {
    std::string lower(type.name);
    std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    if (lower == name) return &type;
  }
  return nullptr;
}

// llama.cpp multiplies what a product gives by a scale of its weight, but looks no embedding up so.
bool takes_scale(const ir::Weight& weight) {
  return weight.name != "model.embed_tokens.weight" && weight.name != "wte.weight" &&
         weight.name != "wpe.weight";
}

// A block type on whose grid the encoding lies: groups that are whole blocks share their scale, and
// codes around 0 may be those of a wider type.
const BlockType* exact_type(const ir::Weight& weight) {
  const ir::Encoding& encoding = weight.encoding;
  const std::int64_t inputs = weight.inputs();
  const bool codes =
      encoding.kind == ir::EncodingKind::kAffine || encoding.kind == ir::EncodingKind::kCodebook;
  if (!codes || encoding.per_tensor || encoding.axis != -1) return nullptr;
  const bool around_zero = encoding.zero != ir::ZeroKind::kConstant ||
                           encoding.constant_zero == 1 << (encoding.bits - 1);
  const BlockType* narrowest = nullptr;
  int bits = 9;
  for (const BlockType& type : block_types()) {
    if (type.encoding == nullptr) continue;
    const ir::Encoding own = type.encoding();
    if (encoding.group_size % own.group_size != 0 || inputs % type.elements != 0) continue;
    ir::Encoding grid = own;
    if (type.scaled_aside && takes_scale(weight)) grid.scale_exponent = encoding.scale_exponent;
    if (type.name == "TQ2_0" && encoding.table == quant::ternary_levels())
      grid.table = encoding.table;  // of its four levels the last goes unused
    grid.group_size = encoding.group_size;
    if (grid == encoding) return &type;
    if (!around_zero || own.bits < encoding.bits || own.bits >= bits) continue;
    grid.bits = encoding.bits;
    grid.constant_zero = encoding.constant_zero;
    if (grid == encoding) narrowest = &type, bits = own.bits;
  }
  return narrowest;
}

// Absmax: Q4_0's grid reaches one step further down, so the largest weight takes code 0.
void quantize_block(const BlockType& type, const float* weights, std::uint8_t* block) {
  float largest = 0;
  for (int i = 0; i < 32; ++i) {
    if (std::fabs(weights[i]) > std::fabs(largest)) largest = weights[i];
  }
  const bool bytes = type.name == "Q8_0";
  const float scale = bytes ? std::fabs(largest) / 127.0f : largest / -8.0f;
  const float inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
  const float least = bytes ? 1.0f : 0.0f, most = bytes ? 255.0f : 15.0f;
  std::uint8_t codes[32];
  for (int i = 0; i < 32; ++i) {
    const float x = weights[i] * inverse;
    const float code = bytes ? std::round(x) + 128.0f : std::floor(x + 8.5f);
    codes[i] = static_cast<std::uint8_t>(std::clamp(code, least, most));
  }
  pack(type, codes, &scale, 0.0f, block);
}

void pack_rows(const ir::Weight& weight, const BlockType& type, const ir::Rows& rows,
               std::byte* out) {
  const auto inputs = static_cast<std::size_t>(weight.inputs());
  const auto groups = static_cast<std::size_t>(weight.encoding.groups(weight.inputs()));
  const auto group = static_cast<std::size_t>(weight.encoding.group_width(weight.inputs()));
  auto* block = reinterpret_cast<std::uint8_t*>(out);
  const ir::Encoding own = type.encoding();
  const int moved = own.constant_zero - weight.encoding.constant_zero;
  const auto elements = static_cast<std::size_t>(type.elements);
  std::vector<std::uint8_t> codes(elements);
  const bool ternary = weight.encoding.table == quant::ternary_levels();
  const auto own_group = static_cast<std::size_t>(own.group_size);
  std::vector<float> scales(elements / own_group);
  const float factor = 1.0f / factor_of(weight, type);
  const auto code_of = [&](std::uint8_t code) {
    return static_cast<std::uint8_t>(ternary ? std::max<int>(code, 1) - 1 : code + moved);
  };
  for (std::size_t row = 0; row < static_cast<std::size_t>(rows.count); ++row) {
    for (std::size_t at = 0; at < inputs; at += elements) {
      const std::size_t g = row * groups + at / group;
      for (std::size_t i = 0; i < elements; ++i)
        codes[i] = code_of(rows.codes[row * inputs + at + i]);
      for (std::size_t s = 0; s < scales.size(); ++s)
        scales[s] = rows.scales[g + s * own_group / group] * factor;
      pack(type, codes.data(), scales.data(), rows.minima.empty() ? 0.0f : rows.minima[g], block);
      block += type.bytes;
    }
  }
}

Status pack_floats(const BlockType& type, std::span<const float> values, std::byte* out) {
  for (const float value : values) {
    if (!std::isfinite(value)) return invalid_file("holds a value that is not finite");
  }
  if (type.dense == ir::DType::kF32) {
    std::memcpy(out, values.data(), values.size_bytes());
  } else if (type.dense == ir::DType::kF16) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::uint16_t half = float_to_half(values[i]);
      if ((half & 0x7c00u) == 0x7c00u) return unsupported("holds a value that f16 cannot");
      std::memcpy(out + 2 * i, &half, 2);
    }
  } else {
    auto* block = reinterpret_cast<std::uint8_t*>(out);
    for (std::size_t at = 0; at < values.size(); at += 32, block += type.bytes) {
      quantize_block(type, values.data() + at, block);
    }
  }
  return ok();
}

bool same_dense(const ir::Weight& weight, const BlockType& type) {
  return weight.encoding.is_dense() && weight.dtype == type.dense;
}

Status append_in_order(const ir::Weight& weight, const BlockType& type, std::int64_t begin,
                       std::int64_t end, std::vector<std::byte>& out) {
  THIMBLE_ASSIGN(const ir::Rows rows, weight.source->read(begin, end));
  const std::size_t start = out.size();
  if (same_dense(weight, type)) {
    out.insert(out.end(), rows.dense.begin(), rows.dense.end());
    return ok();
  }
  const auto count = static_cast<std::size_t>(end - begin);
  out.resize(start + count * row_bytes(type, weight));
  if (exact_type(weight) == &type) {
    pack_rows(weight, type, rows, out.data() + start);
    return ok();
  }
  std::vector<float> values(count * static_cast<std::size_t>(weight.inputs()));
  THIMBLE_TRY(ir::decode_rows(weight.encoding, weight.dtype, rows, weight.inputs(), values));
  return pack_floats(type, values, out.data() + start);
}

}  // namespace

Expected<const BlockType*> choose_type(const ir::Weight& weight, const Target& target) {
  const std::string& wanted = target.type;
  const bool floats = target.allow_dequantize;
  if (weight.dims.size() < 2) return type_named("f32");
  const BlockType* exact = exact_type(weight);
  if (exact != nullptr && !target.decode) return exact;
  const auto refuse = [&](const std::string& why) {
    return unsupported("GGUF cannot hold " + why).at_tensor(weight.name);
  };
  const BlockType* type = type_named(wanted.empty() ? "f32" : wanted);
  if (!weight.encoding.is_dense()) {
    const bool dense = type->dense != ir::DType::kUndefined && !wanted.empty();
    if (!dense && !floats && weight.inputs() % 32 != 0) {
      return refuse(weight.encoding.to_string() + " in rows of " + std::to_string(weight.inputs()) +
                    ": its blocks are of 32")
          .fix(
              "leave the weight as it is with a rule of `skip: true`, write it as f32 with "
              "--allow-dequantize, or write .thimble or .onnx");
    }
    if (!dense && !floats) {
      return refuse("the encoding " + weight.encoding.to_string())
          .fix(
              "quantize to symmetric codes or `codes: iq4_nl` with groups of 32 and f16 scales, to "
              "`codes: mxfp4` or `nvfp4` (not of an embedding), or to `codes: ternary` with groups "
              "of 256; or write it as f32 with "
              "--allow-dequantize");
    }
    return dense ? type : type_named("f32");
  }
  if (wanted.empty() && (weight.dtype == ir::DType::kF16 || weight.dtype == ir::DType::kBF16)) {
    return type_named(weight.dtype == ir::DType::kF16 ? "f16" : "bf16");
  }
  if (weight.inputs() % type->elements != 0) {
    return refuse("rows of " + std::to_string(weight.inputs()) + " in blocks of 32")
        .fix("write type f16 or f32");
  }
  return type;
}

float factor_of(const ir::Weight& weight, const BlockType& type) {
  if (!type.scaled_aside) return 1.0f;
  return std::ldexp(1.0f, weight.encoding.scale_exponent - type.encoding().scale_exponent);
}

std::uint64_t row_bytes(const BlockType& type, const ir::Weight& weight) {
  return static_cast<std::uint64_t>(weight.inputs() / type.elements) *
         static_cast<std::uint64_t>(type.bytes);
}

Status append_rows(const ir::Weight& weight, const BlockType& type, std::int64_t begin,
                   std::int64_t end, std::int64_t head_rows, std::vector<std::byte>& out) {
  const std::size_t start = out.size();
  if (Status status = append_in_order(weight, type, begin, end, out); !status) {
    return std::move(status).error().at_tensor(weight.name);
  }
  weight.source->release(begin, end);
  if (head_rows == 0) return ok();
  const auto bytes = static_cast<std::size_t>(row_bytes(type, weight));
  const std::vector<std::byte> straight(out.begin() + static_cast<std::ptrdiff_t>(start),
                                        out.end());
  const auto head = static_cast<std::size_t>(head_rows);
  for (std::size_t row = 0; row * bytes < straight.size(); ++row) {
    const std::size_t within = row % head;
    const std::size_t from = row - within + (within % 2) * (head / 2) + within / 2;
    std::memcpy(out.data() + start + row * bytes, straight.data() + from * bytes, bytes);
  }
  return ok();
}

}  // namespace thimble::formats::gguf
