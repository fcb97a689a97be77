#include "formats/scaled.h"

#include "ir/decode.h"
#include "support/half.h"

namespace thimble::formats {
namespace {

// The bits of `value` in a type of 16; nothing where they don't hold it.
std::optional<std::uint16_t> narrow(float value, ir::DType type) {
  const bool half = type == ir::DType::kF16;
  const std::uint16_t bits = half ? float_to_half(value) : float_to_bfloat(value);
  const float back = half ? half_to_float(bits) : bfloat_to_float(bits);
  return back == value ? std::optional(bits) : std::nullopt;
}

class ScaledSource : public ir::WeightSource {
 public:
  ScaledSource(ir::Weight from, float factor, ir::DType dtype)
      : from_(std::move(from)), factor_(factor), dtype_(dtype) {}

  Expected<ir::Rows> read(std::int64_t begin, std::int64_t end) const override {
    THIMBLE_ASSIGN(ir::Rows rows, from_.source->read(begin, end));
    if (!from_.encoding.is_dense()) return encoded(std::move(rows));
    std::vector<float> values(static_cast<std::size_t>((end - begin) * from_.inputs()));
    THIMBLE_TRY(ir::decode_rows(from_.encoding, from_.dtype, rows, from_.inputs(), values));
    for (float& value : values) value *= factor_;
    if (dtype_ == ir::DType::kF32) return ir::dense_rows(rows.count, std::move(values));
    std::vector<std::uint16_t> bits;
    bits.reserve(values.size());
    for (const float value : values) {
      const auto narrowed = narrow(value, dtype_);
      if (!narrowed) return does_not_fit();
      bits.push_back(*narrowed);
    }
    return ir::dense_rows(rows.count, std::move(bits));
  }

  void release(std::int64_t begin, std::int64_t end) const override {
    from_.source->release(begin, end);
  }
  std::string describe() const override { return from_.source->describe() + ", scaled"; }

 private:
  Expected<ir::Rows> encoded(ir::Rows rows) const {
    for (std::vector<float>* stream : {&rows.scales, &rows.minima}) {
      for (float& value : *stream) {
        value *= factor_;
        if (from_.encoding.scale_type == ir::DType::kF16 && !narrow(value, ir::DType::kF16))
          return does_not_fit();
      }
    }
    return rows;
  }

  Error does_not_fit() const {
    return unsupported("its type cannot hold it times " + std::to_string(factor_))
        .at_tensor(from_.name)
        .fix("write it as f32 with --type f32");
  }

  ir::Weight from_;
  float factor_;
  ir::DType dtype_;  // of what is dense
};

}  // namespace

ir::Weight scaled(const ir::Weight& weight, float factor, bool f32) {
  ir::Weight out = weight;
  if (f32 && weight.encoding.is_dense()) out.dtype = ir::DType::kF32;
  out.source = std::make_shared<ScaledSource>(weight, factor, out.dtype);
  return out;
}

}  // namespace thimble::formats
