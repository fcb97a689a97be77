#include "formats/onnx/blockwise.h"

#include <bit>
#include <cmath>

#include "ir/decode.h"
#include "support/checked.h"

namespace thimble::formats::onnx {
namespace {

bool is_scale_type(ir::DType type) {
  return type == ir::DType::kF32 || type == ir::DType::kF16 || type == ir::DType::kBF16;
}

std::uint64_t bytes_of(ir::DType type) {
  return static_cast<std::uint64_t>(ir::dtype_bits(type)) / 8;
}

std::uint64_t blocks_of(const Blockwise& p) {
  return static_cast<std::uint64_t>((p.inputs - 1) / p.block + 1);
}

// Codes [0, count) of packed bytes, low bits first. Two's complement is moved up to start at 0.
void unpack(const std::byte* packed, const Blockwise& p, std::size_t count, std::uint8_t* codes) {
  const auto bits = static_cast<std::size_t>(p.bits), per_byte = 8 / bits;
  const unsigned mask = (1u << bits) - 1, flip = p.is_signed ? 1u << (bits - 1) : 0u;
  for (std::size_t i = 0; i < count; ++i) {
    const auto byte = std::to_integer<unsigned>(packed[i / per_byte]);
    codes[i] = static_cast<std::uint8_t>(((byte >> (i % per_byte * bits)) & mask) ^ flip);
  }
}

struct Bytes {
  std::span<const std::byte> span;
  std::shared_ptr<const void> owner;
};

class BlockwiseSource : public ir::WeightSource {
 public:
  BlockwiseSource(Blockwise parts, std::uint64_t code_row, std::uint64_t zero_row)
      : p_(std::move(parts)),
        blocks_(blocks_of(p_)),
        code_row_(code_row),
        scale_row_(blocks_ * bytes_of(p_.scales.dtype)),
        zero_row_(zero_row) {}

  const Blockwise& parts() const { return p_; }

  Expected<ir::Rows> read(std::int64_t begin, std::int64_t end) const override {
    const auto count = static_cast<std::size_t>(end - begin);
    const auto inputs = static_cast<std::size_t>(p_.inputs);
    ir::Rows rows;
    rows.count = end - begin;
    THIMBLE_ASSIGN(const Bytes codes, bytes(p_.codes, begin, end, code_row_));
    rows.codes.resize(count * inputs);
    for (std::size_t r = 0; r < count; ++r) {
      unpack(codes.span.data() + r * code_row_, p_, inputs, rows.codes.data() + r * inputs);
    }
    THIMBLE_ASSIGN(rows.scales, floats(p_.scales, begin, end, scale_row_));
    if (!p_.zeros) return rows;
    if (is_scale_type(p_.zeros->dtype)) {
      THIMBLE_ASSIGN(rows.minima, floats(*p_.zeros, begin, end, zero_row_));
      for (std::size_t i = 0; i < rows.minima.size(); ++i) rows.minima[i] *= -rows.scales[i];
      return rows;
    }
    THIMBLE_ASSIGN(const Bytes zeros, bytes(*p_.zeros, begin, end, zero_row_));
    rows.zero_points.resize(count * blocks_);
    for (std::size_t r = 0; r < count; ++r) {
      unpack(zeros.span.data() + r * zero_row_, p_, blocks_, rows.zero_points.data() + r * blocks_);
    }
    return rows;
  }

  void release(std::int64_t begin, std::int64_t end) const override {
    if (in_rows(p_.codes)) p_.codes.source->release(begin, end);
  }

  std::string describe() const override {
    return "blocks of " + std::to_string(p_.block) + " in " + p_.codes.source->describe();
  }

 private:
  bool in_rows(const ir::Weight& part) const {
    return part.dims.size() >= 2 && part.rows() == p_.rows;
  }

  // A part may lie flat, or in other dims: then all of it is asked for, which a mapping makes free.
  Expected<Bytes> bytes(const ir::Weight& part, std::int64_t begin, std::int64_t end,
                        std::uint64_t row_bytes) const {
    const bool by_row = in_rows(part);
    THIMBLE_ASSIGN(const ir::Rows rows,
                   by_row ? part.source->read(begin, end) : part.source->read(0, part.rows()));
    const std::uint64_t at = by_row ? 0 : static_cast<std::uint64_t>(begin) * row_bytes;
    const std::uint64_t size = static_cast<std::uint64_t>(end - begin) * row_bytes;
    if (!range_inside(at, size, rows.dense.size())) {
      return invalid_file("it holds fewer bytes than its dims say").at_tensor(part.name);
    }
    return Bytes{rows.dense.subspan(at, size), rows.owner};
  }

  Expected<std::vector<float>> floats(const ir::Weight& part, std::int64_t begin, std::int64_t end,
                                      std::uint64_t row_bytes) const {
    THIMBLE_ASSIGN(const Bytes raw, bytes(part, begin, end, row_bytes));
    std::vector<float> values(static_cast<std::size_t>(end - begin) * blocks_);
    THIMBLE_TRY(ir::decode_dense(part.dtype, raw.span, values));
    for (const float value : values) {
      if (!std::isfinite(value)) {
        return invalid_file("a block's scale or zero point is not a finite number")
            .at_tensor(part.name);
      }
    }
    return values;
  }

  Blockwise p_;
  std::size_t blocks_;
  std::uint64_t code_row_, scale_row_, zero_row_;  // bytes
};

// Bytes of one row of a part, when the whole part is a whole number of them and enough.
Expected<std::uint64_t> row_bytes(const Blockwise& p, const ir::Weight& part, std::uint64_t least,
                                  std::uint64_t most) {
  const std::uint64_t total = part.byte_size(), rows = static_cast<std::uint64_t>(p.rows);
  if (total % rows != 0 || total / rows < least || total / rows > most || part.source == nullptr) {
    return invalid_file("it has " + std::to_string(total) + " bytes, not " + std::to_string(rows) +
                        " rows of " + std::to_string(least))
        .at_tensor(part.name);
  }
  return total / rows;
}

Status check(const Blockwise& p) {
  constexpr std::int64_t kMost = std::int64_t{1} << 31;
  if (p.rows < 1 || p.inputs < 1 || p.rows > kMost || p.inputs > kMost) {
    return invalid_file("a quantized matrix of impossible size").at_tensor(p.codes.name);
  }
  if (p.bits != 2 && p.bits != 4 && p.bits != 8) {
    return unsupported("weights of " + std::to_string(p.bits) + " bits").at_tensor(p.codes.name);
  }
  if (p.block < 16 || p.block > kMost ||
      !std::has_single_bit(static_cast<std::uint64_t>(p.block))) {
    return unsupported("blocks of " + std::to_string(p.block)).at_tensor(p.codes.name);
  }
  if (!is_scale_type(p.scales.dtype)) {
    return unsupported("scales of type " + std::string(ir::dtype_name(p.scales.dtype)))
        .at_tensor(p.scales.name);
  }
  return ok();
}

ir::Encoding encoding_of(const Blockwise& p) {
  ir::Encoding e;
  e.kind = ir::EncodingKind::kAffine;
  e.bits = p.bits;
  e.group_size = p.block;
  e.scale_type = p.scales.dtype;
  e.constant_zero = p.default_zero + (p.is_signed ? 1 << (p.bits - 1) : 0);
  if (!p.zeros) return e;
  e.constant_zero = 0;
  e.zero = ir::ZeroKind::kPoints;
  if (is_scale_type(p.zeros->dtype)) {
    e.zero = ir::ZeroKind::kMinima;
    e.scale_type = ir::DType::kF32;  // a minimum is a product
  }
  return e;
}

bool same(const Blockwise& a, const Blockwise& b) {
  const bool zeros = a.zeros.has_value() == b.zeros.has_value() &&
                     (!a.zeros || a.zeros->source == b.zeros->source);
  return a.codes.source == b.codes.source && a.scales.source == b.scales.source && zeros &&
         a.rows == b.rows && a.inputs == b.inputs && a.block == b.block && a.bits == b.bits &&
         a.is_signed == b.is_signed && a.default_zero == b.default_zero;
}

}  // namespace

Expected<ir::WeightId> blockwise_weight(ir::Model& model, const Blockwise& p) {
  THIMBLE_TRY(check(p));
  for (std::size_t i = 0; i < model.weights.size(); ++i) {
    const auto* source = dynamic_cast<const BlockwiseSource*>(model.weights[i].source.get());
    if (source != nullptr && same(source->parts(), p)) {
      return ir::WeightId{static_cast<std::uint32_t>(i)};
    }
  }
  const std::uint64_t blocks = blocks_of(p), bits = static_cast<std::uint64_t>(p.bits);
  const std::uint64_t padded = blocks * static_cast<std::uint64_t>(p.block) * bits / 8;
  const std::uint64_t tight = (static_cast<std::uint64_t>(p.inputs) * bits + 7) / 8;
  THIMBLE_ASSIGN(const std::uint64_t code_row, row_bytes(p, p.codes, tight, padded));
  const std::uint64_t scale_row = blocks * bytes_of(p.scales.dtype);
  THIMBLE_TRY(row_bytes(p, p.scales, scale_row, scale_row));
  std::uint64_t zero_row = 0;
  if (p.zeros) {
    zero_row =
        is_scale_type(p.zeros->dtype) ? blocks * bytes_of(p.zeros->dtype) : (blocks * bits + 7) / 8;
    THIMBLE_TRY(row_bytes(p, *p.zeros, zero_row, zero_row));
  }
  ir::Weight weight;
  weight.name = p.codes.name;
  weight.dtype = p.scales.dtype;
  weight.dims = {p.rows, p.inputs};
  weight.encoding = encoding_of(p);
  weight.source_parameters = static_cast<std::uint64_t>(p.rows * p.inputs);
  weight.source = std::make_shared<BlockwiseSource>(p, code_row, zero_row);
  return model.add_weight(std::move(weight));
}

}  // namespace thimble::formats::onnx
