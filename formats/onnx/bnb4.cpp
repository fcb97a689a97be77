#include "formats/onnx/bnb4.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "ir/decode.h"
#include "support/checked.h"

namespace thimble::formats::onnx {
namespace {

// QLoRA (Dettmers et al. 2023), appendix E.
constexpr float kNormal[16] = {-1.0f,
                               -0.6961928009986877f,
                               -0.5250730514526367f,
                               -0.39491748809814453f,
                               -0.28444138169288635f,
                               -0.18477343022823334f,
                               -0.09105003625154495f,
                               0.0f,
                               0.07958029955625534f,
                               0.16093020141124725f,
                               0.24611230194568634f,
                               0.33791524171829224f,
                               0.44070982933044434f,
                               0.5626170039176941f,
                               0.7229568362236023f,
                               1.0f};
// bitsandbytes' float of a sign, two bits of exponent and one of fraction, over its largest.
constexpr float kFloat[16] = {
    0.0f,  0.0625f / 12,  8.0f / 12,  12.0f / 12,  4.0f / 12,  6.0f / 12,  2.0f / 12,  3.0f / 12,
    -0.0f, -0.0625f / 12, -8.0f / 12, -12.0f / 12, -4.0f / 12, -6.0f / 12, -2.0f / 12, -3.0f / 12};

class Bnb4Source : public ir::WeightSource {
 public:
  explicit Bnb4Source(Bnb4 parts) : p_(std::move(parts)) {}

  Expected<ir::Rows> read(std::int64_t begin, std::int64_t end) const override {
    THIMBLE_ASSIGN(const ir::Rows packed, p_.codes.source->read(0, p_.codes.rows()));
    THIMBLE_ASSIGN(const std::vector<float> scales, scales_of(begin * p_.inputs, end * p_.inputs));
    const float* table = p_.normal ? kNormal : kFloat;
    const std::int64_t first_block = begin * p_.inputs / p_.block;
    std::vector<float> values;
    values.reserve(static_cast<std::size_t>((end - begin) * p_.inputs));
    for (std::int64_t i = begin * p_.inputs; i < end * p_.inputs; ++i) {
      const auto byte = std::to_integer<unsigned>(packed.dense[static_cast<std::size_t>(i / 2)]);
      const float level = table[i % 2 == 0 ? byte >> 4 : byte & 15];
      values.push_back(level * scales[static_cast<std::size_t>(i / p_.block - first_block)]);
    }
    return ir::dense_rows(end - begin, ir::encode_floats(p_.scales.dtype, values));
  }

  // Rows share bytes and blocks, so their pages go once the last row was read.
  void release(std::int64_t, std::int64_t end) const override {
    if (end < p_.rows) return;
    p_.codes.source->release(0, p_.codes.rows());
    p_.scales.source->release(0, p_.scales.rows());
  }

  std::string describe() const override {
    return "4-bit codes of a table, as floats, in " + p_.codes.source->describe();
  }

 private:
  // Of the blocks of elements [begin, end).
  Expected<std::vector<float>> scales_of(std::int64_t begin, std::int64_t end) const {
    const std::int64_t first = begin / p_.block, count = (end - 1) / p_.block + 1 - first;
    const auto width = static_cast<std::size_t>(ir::dtype_bits(p_.scales.dtype)) / 8;
    THIMBLE_ASSIGN(const ir::Rows raw, p_.scales.source->read(0, p_.scales.rows()));
    std::vector<float> out(static_cast<std::size_t>(count));
    const auto at = static_cast<std::size_t>(first) * width;
    THIMBLE_TRY(ir::decode_dense(p_.scales.dtype, raw.dense.subspan(at), out));
    if (!std::all_of(out.begin(), out.end(), [](float scale) { return std::isfinite(scale); }))
      return invalid_file("a block's scale is not a finite number").at_tensor(p_.scales.name);
    return out;
  }

  Bnb4 p_;
};

Status check_size(const ir::Weight& part, std::int64_t bytes) {
  if (part.source != nullptr && part.byte_size() == static_cast<std::uint64_t>(bytes)) return ok();
  return invalid_file("it has " + std::to_string(part.byte_size()) + " bytes, not " +
                      std::to_string(bytes))
      .at_tensor(part.name);
}

Status check(const Bnb4& p) {
  constexpr std::int64_t kMost = std::int64_t{1} << 31;
  if (p.rows < 1 || p.inputs < 1 || p.rows > kMost || p.inputs > kMost || p.block < 1) {
    return invalid_file("a quantized matrix of impossible size").at_tensor(p.codes.name);
  }
  const ir::DType type = p.scales.dtype;
  if (type != ir::DType::kF32 && type != ir::DType::kF16 && type != ir::DType::kBF16) {
    return unsupported("scales of type " + std::string(ir::dtype_name(type)))
        .at_tensor(p.scales.name);
  }
  const std::int64_t count = p.rows * p.inputs;
  THIMBLE_TRY(check_size(p.codes, ceil_div<std::int64_t>(count, 2)));
  return check_size(p.scales, ceil_div(count, p.block) * ir::dtype_bits(type) / 8);
}

}  // namespace

Expected<ir::WeightId> bnb4_weight(ir::Model& model, Bnb4 parts) {
  THIMBLE_TRY(check(parts));
  ir::Weight weight;
  weight.name = parts.codes.name;
  weight.dtype = parts.scales.dtype;
  weight.dims = {parts.rows, parts.inputs};
  weight.source_parameters = static_cast<std::uint64_t>(parts.rows * parts.inputs);
  weight.source = std::make_shared<Bnb4Source>(std::move(parts));
  return model.add_weight(std::move(weight));
}

}  // namespace thimble::formats::onnx
