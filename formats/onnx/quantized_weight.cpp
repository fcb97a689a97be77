#include "formats/onnx/quantized_weight.h"

#include <algorithm>
#include <cmath>

namespace thimble::formats::onnx {
namespace {

// Rows of codes as the file has them, two's complement moved up to start at 0. Where `depth` is
// not 0, matrices of so many lines each lie there, and their columns are the rows.
class CodesSource : public ir::WeightSource {
 public:
  CodesSource(ir::Weight codes, std::vector<float> scales, std::int64_t depth)
      : codes_(std::move(codes)), scales_(std::move(scales)), depth_(depth) {}

  Expected<ir::Rows> read(std::int64_t begin, std::int64_t end) const override {
    const std::int64_t wide = depth_ > 0 ? codes_.dims.back() : codes_.inputs();
    const std::int64_t inputs = depth_ > 0 ? depth_ : wide;
    THIMBLE_ASSIGN(const ir::Rows raw, depth_ > 0 ? codes_.source->read(0, codes_.rows())
                                                  : codes_.source->read(begin, end));
    const std::int64_t needed = depth_ > 0 ? codes_.element_count() : (end - begin) * wide;
    if (raw.dense.size() < static_cast<std::size_t>(needed))
      return invalid_file("it holds fewer bytes than its dims say").at_tensor(codes_.name);
    const unsigned flip = codes_.dtype == ir::DType::kI8 ? 128 : 0;
    ir::Rows rows;
    rows.count = end - begin;
    rows.codes.resize(static_cast<std::size_t>((end - begin) * inputs));
    for (std::int64_t r = 0; r < end - begin; ++r) {
      for (std::int64_t k = 0; k < inputs; ++k) {
        const std::int64_t matrix = (begin + r) / wide, column = (begin + r) % wide;
        const std::int64_t at = depth_ > 0 ? (matrix * depth_ + k) * wide + column : r * wide + k;
        const auto byte = std::to_integer<unsigned>(raw.dense[static_cast<std::size_t>(at)]);
        rows.codes[static_cast<std::size_t>(r * inputs + k)] =
            static_cast<std::uint8_t>(byte ^ flip);
      }
    }
    const auto first = scales_.begin() + (scales_.size() == 1 ? 0 : begin);
    rows.scales.assign(first, scales_.size() == 1 ? first + 1 : first + (end - begin));
    return rows;
  }
  void release(std::int64_t begin, std::int64_t end) const override {
    if (depth_ == 0) codes_.source->release(begin, end);
  }
  std::string describe() const override { return "codes in " + codes_.source->describe(); }

 private:
  ir::Weight codes_;
  std::vector<float> scales_;
  std::int64_t depth_;
};

bool is_byte(ir::DType type) { return type == ir::DType::kI8 || type == ir::DType::kU8; }

// The zero of all codes, counted from 0.
std::optional<int> common_zero(const CodedParts& p) {
  const int moved = p.codes.dtype == ir::DType::kI8 ? 128 : 0;
  if (!p.zeros) return moved;
  const auto zeros = ir::read_integers(*p.zeros);
  if (!zeros || zeros->empty() || std::any_of(zeros->begin(), zeros->end(), [&](std::int64_t z) {
        return z != zeros->front();
      }))
    return std::nullopt;
  return static_cast<int>(zeros->front()) + moved;
}

std::optional<ir::Weight> coded_weight(const CodedParts& p, std::int64_t rows,
                                       std::int64_t depth = 0) {
  if (!is_byte(p.codes.dtype) || !p.codes.encoding.is_dense() || p.codes.source == nullptr ||
      p.scales.dtype != ir::DType::kF32 || p.codes.element_count() < 1)
    return std::nullopt;
  const std::optional<int> zero = common_zero(p);
  auto scales = ir::read_floats(p.scales);
  if (!zero || !scales) return std::nullopt;
  const auto count = static_cast<std::int64_t>(scales->size());
  if ((count != 1 && count != rows) ||
      std::any_of(scales->begin(), scales->end(), [](float s) { return !std::isfinite(s); }))
    return std::nullopt;
  ir::Weight weight;
  weight.name = p.codes.name;
  weight.dtype = ir::DType::kF32;
  weight.dims = p.codes.dims;
  weight.encoding.kind = ir::EncodingKind::kAffine;
  weight.encoding.bits = 8;
  weight.encoding.constant_zero = *zero;
  weight.encoding.scale_type = ir::DType::kF32;
  weight.encoding.per_tensor = count == 1 && rows != 1;
  weight.source_parameters = static_cast<std::uint64_t>(p.codes.element_count());
  weight.source = std::make_shared<CodesSource>(p.codes, std::move(*scales), depth);
  return weight;
}

}  // namespace

std::optional<ir::Weight> coded_convolution_weight(const CodedParts& p) {
  const bool by_output = p.scales.element_count() == 1 || p.axis == 0;
  if (p.codes.dims.size() < 3 || !by_output) return std::nullopt;
  std::optional<ir::Weight> weight = coded_weight(p, p.codes.dims[0]);
  if (weight) weight->encoding.flat = true;
  return weight;
}

std::optional<ir::Weight> coded_product_weight(const CodedParts& p, int inputs_axis) {
  const auto outputs = static_cast<std::size_t>(1 - inputs_axis);
  const bool by_output = p.scales.element_count() == 1 || p.axis == outputs;
  if (p.codes.dims.size() != 2 || !by_output) return std::nullopt;
  std::optional<ir::Weight> weight =
      coded_weight(p, p.codes.dims[outputs], inputs_axis == 0 ? p.codes.dims[0] : 0);
  if (weight) weight->encoding.axis = inputs_axis;
  return weight;
}

std::optional<ir::Weight> coded_recurrent_weight(const CodedParts& p) {
  if (p.codes.dims.size() != 3 || p.codes.element_count() < 1) return std::nullopt;
  const std::int64_t directions = p.codes.dims[0], depth = p.codes.dims[1], wide = p.codes.dims[2];
  const auto scales = ir::read_floats(p.scales);
  if (!scales) return std::nullopt;
  const auto count = static_cast<std::int64_t>(scales->size());
  if (count != directions && count != directions * wide) return std::nullopt;
  std::vector<float> by_row(static_cast<std::size_t>(directions * wide));
  for (std::size_t r = 0; r < by_row.size(); ++r)
    by_row[r] = (*scales)[count == directions ? r / static_cast<std::size_t>(wide) : r];
  CodedParts rows = p;
  rows.scales = ir::make_dense(p.scales.name, {directions * wide}, by_row);
  std::optional<ir::Weight> weight = coded_weight(rows, directions * wide, depth);
  if (weight) weight->dims = {directions, wide, depth};
  return weight;
}

}  // namespace thimble::formats::onnx
