#include "lower/payload.h"

#include <algorithm>
#include <cstring>
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
class UnpackedPayload : public Payload {
 public:
  explicit UnpackedPayload(const ir::Weight& weight) : weight_(weight) {}
  std::int64_t pieces() const override { return 1; }
  std::vector<std::uint64_t> piece_bytes() const override {
    return {static_cast<std::uint64_t>(weight_.element_count())};
  }
  Status produce(std::int64_t, std::int64_t, Streams streams) const override {
    THIMBLE_ASSIGN(const ir::Rows rows, weight_.source->read(0, weight_.rows()));
    ir::unpack_narrow(weight_.dtype, rows.dense, streams[0]);
    return ok();
  }
  void release(std::int64_t, std::int64_t) const override {
    weight_.source->release(0, weight_.rows());
  }

 private:
  ir::Weight weight_;
};

class F32Payload : public Payload {
 public:
  explicit F32Payload(const ir::Weight& weight) : weight_(weight) {}
  std::int64_t pieces() const override { return 1; }
  std::vector<std::uint64_t> piece_bytes() const override {
    return {static_cast<std::uint64_t>(weight_.element_count()) * sizeof(float)};
  }
  Status produce(std::int64_t, std::int64_t, Streams streams) const override {
    THIMBLE_ASSIGN(const std::vector<float> values, ir::read_floats(weight_));
    if (!values.empty()) std::memcpy(streams[0].data(), values.data(), streams[0].size());
    return ok();
  }
  void release(std::int64_t, std::int64_t) const override {
    weight_.source->release(0, weight_.rows());
  }

 private:
  ir::Weight weight_;
};

class TransposedPayload : public Payload {
 public:
  explicit TransposedPayload(const ir::Weight& weight) : weight_(weight) {}
  std::int64_t pieces() const override { return weight_.dims[1]; }
  std::vector<std::uint64_t> piece_bytes() const override {
    return {static_cast<std::uint64_t>(weight_.dims[0]) * element_bytes()};
  }
  // Reads a few source rows at a time, so that a range of columns needs no copy of the whole
  // matrix.
  Status produce(std::int64_t begin, std::int64_t end, Streams streams) const override {
    const std::uint64_t size = element_bytes();
    const auto inputs = static_cast<std::uint64_t>(weight_.dims[0]);
    for (std::uint64_t k = 0; k < inputs; ++k) {
      THIMBLE_ASSIGN(const ir::Rows row, weight_.source->read(static_cast<std::int64_t>(k),
                                                              static_cast<std::int64_t>(k) + 1));
      for (std::int64_t n = begin; n < end; ++n) {
        std::memcpy(streams[0].data() + (static_cast<std::uint64_t>(n - begin) * inputs + k) * size,
                    row.dense.data() + static_cast<std::uint64_t>(n) * size, size);
      }
    }
    return ok();
  }
  void release(std::int64_t, std::int64_t) const override {
    weight_.source->release(0, weight_.rows());
  }

 private:
  std::uint64_t element_bytes() const {
    return static_cast<std::uint64_t>(ir::dtype_bits(weight_.dtype)) / 8;
  }
  ir::Weight weight_;
};

// Scales and minima of one row as the tiles hold them: one per group, sub-scales multiplied out (a
// product of an f16 and a 6-bit number is exact in f32).
void expand_row(const ir::Encoding& encoding, const ir::Rows& rows, std::int64_t row,
                std::int64_t groups, std::int64_t supers, std::vector<float>& scales,
                std::vector<float>& minima) {
  const bool has_minima = encoding.zero == ir::ZeroKind::kMinima;
  const std::int64_t source_row = encoding.per_tensor ? 0 : row;
  for (std::int64_t g = 0; g < groups; ++g) {
    if (encoding.kind != ir::EncodingKind::kSuperBlock) {
      const auto at = static_cast<std::size_t>(encoding.per_tensor ? 0 : source_row * groups + g);
      scales[static_cast<std::size_t>(g)] = rows.scales[at];
      if (has_minima) minima[static_cast<std::size_t>(g)] = rows.minima[at];
      continue;
    }
    const auto sub = static_cast<std::size_t>(source_row * groups + g);
    const auto super = static_cast<std::size_t>(source_row * supers +
                                                g * encoding.group_size / encoding.super_size);
    scales[static_cast<std::size_t>(g)] =
        rows.scales[super] * static_cast<float>(rows.sub_scales[sub] - encoding.sub_scale_zero);
    if (has_minima) {
      minima[static_cast<std::size_t>(g)] =
          -rows.minima[super] * static_cast<float>(rows.sub_minima[sub]);
    }
  }
}

void store_float(std::byte* out, program::Type type, float value) {
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
    supers_ = weight.encoding.kind == ir::EncodingKind::kSuperBlock
                  ? weight.encoding.supers(tensor.inputs)
                  : 0;
  }
  std::int64_t pieces() const override {
    return ceil_div<std::int64_t>(tensor_.rows, kernels::kTileRows);
  }
  std::vector<std::uint64_t> piece_bytes() const override {
    const auto blocks =
        static_cast<std::uint64_t>(ceil_div<std::int64_t>(tensor_.inputs, kernels::kBlock));
    const std::uint64_t per_group = static_cast<std::uint64_t>(groups_) * kernels::kTileRows;
    std::vector<std::uint64_t> bytes = {blocks * 64 * static_cast<std::uint64_t>(tensor_.bits),
                                        per_group * float_bytes()};
    if (tensor_.zero == program::ZeroKind::kPoints) bytes.push_back(per_group);
    if (tensor_.zero == program::ZeroKind::kMinima) bytes.push_back(per_group * float_bytes());
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
    std::vector<float> scales(static_cast<std::size_t>(groups_)),
        minima(static_cast<std::size_t>(groups_));
    for (std::int64_t r = 0; r < count; ++r) {
      expand_row(weight_.encoding, rows, first + r, groups_, supers_, scales, minima);
      for (std::int64_t g = 0; g < groups_; ++g) {
        const auto at = static_cast<std::size_t>(g * kernels::kTileRows + r);
        store_float(out[1].data() + at * float_bytes(), tensor_.type,
                    scales[static_cast<std::size_t>(g)]);
        if (tensor_.zero == program::ZeroKind::kPoints) {
          const std::int64_t from = weight_.encoding.per_tensor ? 0 : (first + r) * groups_ + g;
          out[2][at] = static_cast<std::byte>(rows.zero_points[static_cast<std::size_t>(from)]);
        } else if (tensor_.zero == program::ZeroKind::kMinima) {
          store_float(out[2].data() + at * float_bytes(), tensor_.type,
                      minima[static_cast<std::size_t>(g)]);
        }
      }
    }
  }

  ir::Weight weight_;
  program::Tensor tensor_;
  std::int64_t groups_ = 1;
  std::int64_t supers_ = 0;
};

program::Type scale_type_of(const ir::Encoding& encoding) {
  if (encoding.kind == ir::EncodingKind::kSuperBlock) return program::Type::kF32;
  switch (encoding.scale_type) {
    case ir::DType::kF16:
      return program::Type::kF16;
    case ir::DType::kBF16:
      return program::Type::kBF16;
    default:
      return program::Type::kF32;
  }
}

}  // namespace

std::unique_ptr<Payload> dense_payload(const ir::Weight& weight) {
  if (ir::dtype_bits(weight.dtype) < 8) return std::make_unique<UnpackedPayload>(weight);
  return std::make_unique<DensePayload>(weight);
}
std::unique_ptr<Payload> f32_payload(const ir::Weight& weight) {
  return std::make_unique<F32Payload>(weight);
}
std::unique_ptr<Payload> transposed_payload(const ir::Weight& weight) {
  return std::make_unique<TransposedPayload>(weight);
}
std::unique_ptr<Payload> tile_payload(const ir::Weight& weight, const program::Tensor& tensor) {
  return std::make_unique<TilePayload>(weight, tensor);
}

Expected<program::Tensor> tile_tensor(const ir::Weight& weight) {
  const ir::Encoding& encoding = weight.encoding;
  const bool known =
      encoding.kind == ir::EncodingKind::kAffine || encoding.kind == ir::EncodingKind::kSuperBlock;
  if (!known || encoding.bits < 2 || encoding.bits > 8) {
    return unsupported("the runtime has no kernel for encoding " + encoding.to_string())
        .at_tensor(weight.name)
        .fix("use an encoding of 2 to 8 bits with a scale per tensor, channel or group");
  }
  program::Tensor tensor;
  tensor.name = weight.name;
  tensor.layout = program::Layout::kTiles;
  tensor.type = scale_type_of(encoding);
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
  return tensor;
}

}  // namespace thimble::lower
