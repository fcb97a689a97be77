#include "lower/payload.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <vector>

#include "ir/decode.h"
#include "kernels/linear.h"
#include "support/checked.h"
#include "support/half.h"

namespace thimble::lower {
namespace {

using Streams = std::span<const std::span<std::byte>>;

std::uint64_t dense_row_bytes(const ir::Weight& weight) {
  return static_cast<std::uint64_t>(weight.inputs()) *
         static_cast<std::uint64_t>(ir::dtype_bits(weight.dtype)) / 8;
}

class DensePayload : public Payload {
 public:
  explicit DensePayload(const ir::Weight& weight) : weight_(weight) {}
  std::int64_t pieces() const override { return weight_.rows(); }
  std::vector<std::uint64_t> piece_bytes() const override { return {dense_row_bytes(weight_)}; }
  Status produce(std::int64_t begin, std::int64_t end, Streams streams) const override {
    THIMBLE_ASSIGN(const ir::Rows rows, weight_.source->read(begin, end));
    if (!rows.dense.empty()) std::memcpy(streams[0].data(), rows.dense.data(), streams[0].size());
    return ok();
  }
  void release(std::int64_t begin, std::int64_t end) const override {
    weight_.source->release(begin, end);
  }
  std::span<const std::byte> in_place() const override { return weight_.source->in_place(); }

 private:
  ir::Weight weight_;
};

// Types narrower than a byte, a byte each: the runtime computes with nothing smaller.
class UnpackedPayload : public WholePayload {
 public:
  using WholePayload::WholePayload;
  std::vector<std::uint64_t> piece_bytes() const override {
    return {static_cast<std::uint64_t>(weight().element_count())};
  }
  Status produce(std::int64_t, std::int64_t, Streams streams) const override {
    THIMBLE_ASSIGN(const ir::Rows rows, weight().source->read(0, weight().rows()));
    ir::unpack_narrow(weight().dtype, rows.dense, streams[0]);
    return ok();
  }
};

class F32Payload : public WholePayload {
 public:
  using WholePayload::WholePayload;
  std::vector<std::uint64_t> piece_bytes() const override {
    return {static_cast<std::uint64_t>(weight().element_count()) * sizeof(float)};
  }
  Status produce(std::int64_t, std::int64_t, Streams streams) const override {
    THIMBLE_ASSIGN(const std::vector<float> values, ir::read_floats(weight()));
    if (!values.empty()) std::memcpy(streams[0].data(), values.data(), streams[0].size());
    return ok();
  }
};

// A scale that is exact in a byte: its power of two, or 4 bits of it and 3 of fraction.
std::byte scale_byte(program::Type type, float value, int exponent) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (value == 0) return std::byte{0};
  if (type == program::Type::kF8E8M0) return static_cast<std::byte>(bits >> 23);
  const int power = static_cast<int>(bits >> 23) - 127 - exponent;
  const auto significand = (bits >> 20 & 7) | 8;  // value = significand / 8 * 2^power
  if (power < -6) return static_cast<std::byte>(significand >> (-6 - power));
  return static_cast<std::byte>((power + 7) << 3 | (significand & 7));
}

void store_float(std::byte* out, program::Type type, float value, int exponent = 0) {
  if (type == program::Type::kF8E8M0 || type == program::Type::kF8E4M3FN) {
    *out = scale_byte(type, value, exponent);
    return;
  }
  if (type == program::Type::kF32) {
    std::memcpy(out, &value, sizeof value);
    return;
  }
  const std::uint16_t bits =
      type == program::Type::kF16 ? float_to_half(value) : float_to_bfloat(value);
  std::memcpy(out, &bits, sizeof bits);
}

class TilePayload : public Payload {
 public:
  TilePayload(const ir::Weight& weight, const program::Tensor& tensor)
      : weight_(weight), tensor_(tensor) {
    groups_ = weight.encoding.groups(tensor.inputs);
    super_ = weight.encoding.kind == ir::EncodingKind::kSuperBlock;
    scales_ = super_ ? weight.encoding.supers(tensor.inputs) : groups_;
  }
  std::int64_t pieces() const override {
    return ceil_div<std::int64_t>(tensor_.rows, kernels::kTileRows);
  }
  std::vector<std::uint64_t> piece_bytes() const override {
    const auto blocks =
        static_cast<std::uint64_t>(ceil_div<std::int64_t>(tensor_.inputs, kernels::kBlock));
    const std::uint64_t cells = static_cast<std::uint64_t>(scales_) * kernels::kTileRows;
    std::vector<std::uint64_t> bytes = {blocks * 64 * static_cast<std::uint64_t>(tensor_.bits),
                                        cells * float_bytes()};
    if (tensor_.zero == program::ZeroKind::kPoints) bytes.push_back(cells);
    if (tensor_.zero == program::ZeroKind::kMinima) bytes.push_back(cells * float_bytes());
    if (!super_) return bytes;
    const std::int64_t vectors = kernels::sub_vectors(groups_, tensor_.sub_bits);
    bytes.push_back(static_cast<std::uint64_t>(vectors) * kernels::kTileRows);
    if (tensor_.zero == program::ZeroKind::kMinima) bytes.push_back(bytes.back());
    return bytes;
  }
  Status produce(std::int64_t begin, std::int64_t end, Streams streams) const override {
    const std::int64_t first = begin * kernels::kTileRows;
    const std::int64_t last = std::min(end * kernels::kTileRows, tensor_.rows);
    THIMBLE_ASSIGN(const ir::Rows rows, weight_.source->read(first, last));
    std::vector<std::uint8_t> codes(static_cast<std::size_t>(kernels::kTileRows * tensor_.inputs));
    const std::vector<std::uint64_t> bytes = piece_bytes();
    for (std::int64_t tile = begin; tile < end; ++tile) {
      std::vector<std::span<std::byte>> out;
      for (std::size_t s = 0; s < bytes.size(); ++s) {
        out.push_back(
            streams[s].subspan(static_cast<std::size_t>(tile - begin) * bytes[s], bytes[s]));
      }
      produce_tile(rows, (tile - begin) * kernels::kTileRows, codes, out);
    }
    return ok();
  }
  void release(std::int64_t begin, std::int64_t end) const override {
    weight_.source->release(begin * kernels::kTileRows,
                            std::min(end * kernels::kTileRows, tensor_.rows));
  }

 private:
  std::uint64_t float_bytes() const {
    return static_cast<std::uint64_t>(program::type_bytes(tensor_.type));
  }

  // `first` is the tile's first row within `rows`.
  void produce_tile(const ir::Rows& rows, std::int64_t first, std::vector<std::uint8_t>& codes,
                    std::vector<std::span<std::byte>>& out) const {
    const auto inputs = static_cast<std::size_t>(tensor_.inputs);
    const std::int64_t count = std::min<std::int64_t>(kernels::kTileRows, rows.count - first);
    const std::uint8_t* tile = rows.codes.data() + first * tensor_.inputs;
    if (count < kernels::kTileRows) {  // the tile's other rows are zero
      std::copy_n(tile, static_cast<std::size_t>(count) * inputs, codes.begin());
      std::fill(codes.begin() + count * tensor_.inputs, codes.end(), std::uint8_t{0});
      tile = codes.data();
    }
    kernels::pack_tile(tile, tensor_.inputs, tensor_.bits,
                       reinterpret_cast<std::uint8_t*>(out[0].data()));
    for (std::size_t s = 1; s < out.size(); ++s)
      std::fill(out[s].begin(), out[s].end(), std::byte{0});
    for (std::int64_t r = 0; r < count; ++r) {
      for (std::int64_t g = 0; g < scales_; ++g) {
        const auto at = static_cast<std::size_t>(g * kernels::kTileRows + r);
        const auto from =
            static_cast<std::size_t>(weight_.encoding.per_tensor ? 0 : (first + r) * scales_ + g);
        store_float(out[1].data() + at * float_bytes(), tensor_.type, rows.scales[from],
                    tensor_.scale_exponent);
        if (tensor_.zero == program::ZeroKind::kPoints) {
          out[2][at] = static_cast<std::byte>(rows.zero_points[from]);
        } else if (tensor_.zero == program::ZeroKind::kMinima) {
          store_float(out[2].data() + at * float_bytes(), tensor_.type, rows.minima[from]);
        }
      }
    }
    if (!super_) return;
    const bool minima = tensor_.zero == program::ZeroKind::kMinima;
    pack_subs(rows.sub_scales, first, count, out[minima ? 3 : 2]);
    if (minima) pack_subs(rows.sub_minima, first, count, out[4]);
  }

  void pack_subs(const std::vector<std::uint8_t>& subs, std::int64_t first, std::int64_t count,
                 std::span<std::byte> out) const {
    std::vector<std::uint8_t> tile(static_cast<std::size_t>(kernels::kTileRows * groups_));
    std::copy_n(subs.begin() + first * groups_, count * groups_, tile.begin());
    kernels::pack_sub_scales(tile.data(), groups_, tensor_.sub_bits,
                             reinterpret_cast<std::uint8_t*>(out.data()));
  }

  ir::Weight weight_;
  program::Tensor tensor_;
  bool super_ = false;
  std::int64_t groups_ = 1;
  std::int64_t scales_ = 1;  // of a row: one per group, or per super-block
};

program::Type scale_type_of(const ir::Encoding& encoding) {
  switch (encoding.scale_type) {
    case ir::DType::kF16:
      return program::Type::kF16;
    case ir::DType::kBF16:
      return program::Type::kBF16;
    case ir::DType::kF8E8M0:
      return program::Type::kF8E8M0;
    case ir::DType::kF8E4M3FN:
      return program::Type::kF8E4M3FN;
    default:
      return program::Type::kF32;
  }
}

// A table of whole numbers that fit a byte is kept as it is.
std::optional<std::vector<std::int8_t>> bytes_of(const std::vector<float>& table) {
  std::vector<std::int8_t> out;
  for (const float entry : table) {
    if (!(entry >= -128 && entry <= 127) || entry != std::nearbyint(entry)) return std::nullopt;
    out.push_back(static_cast<std::int8_t>(entry));
  }
  return out;
}

// Does a kernel read the encoding as it is?
bool has_kernel(const ir::Encoding& e, std::int64_t inputs) {
  if (e.bits < 2 || e.bits > 8) return false;
  const bool super = e.kind == ir::EncodingKind::kSuperBlock;
  if (e.kind != ir::EncodingKind::kAffine && e.kind != ir::EncodingKind::kCodebook && !super)
    return false;
  const bool one_group = e.group_size == 0 || e.per_tensor || e.group_size >= inputs;
  if (!one_group && e.group_size != 16 && e.group_size % kernels::kBlock != 0) return false;
  if (super && (e.sub_bits > 8 || e.zero == ir::ZeroKind::kPoints)) return false;
  return e.table.empty() || (e.bits <= 4 && e.table.size() == std::size_t{1} << e.bits &&
                             bytes_of(e.table).has_value());
}

}  // namespace

program::Type stored_type(const ir::Weight& weight) {
  const bool narrow = weight.dtype == ir::DType::kF16 || weight.dtype == ir::DType::kBF16;
  return narrow && weight.dims.size() > 1 ? static_cast<program::Type>(weight.dtype)
                                          : program::Type::kF32;
}

std::unique_ptr<Payload> dense_payload(const ir::Weight& weight) {
  if (ir::dtype_bits(weight.dtype) < 8) return std::make_unique<UnpackedPayload>(weight);
  return std::make_unique<DensePayload>(weight);
}
std::unique_ptr<Payload> f32_payload(const ir::Weight& weight) {
  return std::make_unique<F32Payload>(weight);
}
std::unique_ptr<Payload> tile_payload(const ir::Weight& weight, const program::Tensor& tensor) {
  return std::make_unique<TilePayload>(weight, tensor);
}

Expected<program::Tensor> tile_tensor(const ir::Weight& weight) {
  const ir::Encoding& encoding = weight.encoding;
  if (!has_kernel(encoding, weight.inputs())) {
    return unsupported("the runtime has no kernel for encoding " + encoding.to_string())
        .at_tensor(weight.name)
        .fix(
            "use an encoding of 2 to 8 bits with a scale per tensor, channel, super-block or group "
            "of 16 or a multiple of 32, or a table of whole numbers");
  }
  program::Tensor tensor;
  tensor.name = weight.name;
  tensor.layout = program::Layout::kTiles;
  tensor.type = scale_type_of(encoding);
  tensor.scale_exponent = encoding.scale_exponent;
  tensor.dims = weight.dims;
  tensor.rows = weight.rows();
  tensor.inputs = weight.inputs();
  tensor.axis =
      encoding.axis < 0 ? static_cast<std::int32_t>(weight.dims.size()) - 1 : encoding.axis;
  tensor.bits = encoding.bits;
  tensor.group_size =
      encoding.group_size == 0 || encoding.per_tensor ? tensor.inputs : encoding.group_size;
  // One group a row is written as the padded width, so that the group size stays a multiple of the
  // block.
  if (tensor.group_size >= tensor.inputs)
    tensor.group_size = round_up<std::int64_t>(tensor.inputs, kernels::kBlock);
  tensor.zero = static_cast<program::ZeroKind>(encoding.zero);
  tensor.constant_zero = encoding.constant_zero;
  if (!encoding.table.empty()) {
    tensor.table = *bytes_of(encoding.table);
    tensor.table.resize(kernels::kTableEntries);
  }
  if (encoding.kind != ir::EncodingKind::kSuperBlock) return tensor;
  tensor.super_size = encoding.super_size;
  tensor.sub_bits = encoding.sub_bits <= 4 ? 4 : encoding.sub_bits <= 6 ? 6 : 8;
  tensor.sub_zero = encoding.sub_scale_zero;
  return tensor;
}

}  // namespace thimble::lower
