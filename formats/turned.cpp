#include "formats/turned.h"

#include <algorithm>
#include <cstring>

#include "ir/decode.h"

namespace thimble::formats {
namespace {

constexpr std::int64_t kElementsAtOnce = 1 << 20;

class TurnedSource : public ir::WeightSource {
 public:
  TurnedSource(ir::Weight from, std::size_t width) : from_(std::move(from)), width_(width) {}

  // Rows are columns of the other, which is read in bands.
  Expected<ir::Rows> read(std::int64_t begin, std::int64_t end) const override {
    const std::int64_t columns = from_.rows(), inputs = from_.inputs();
    const std::int64_t band =
        std::max<std::int64_t>(1, kElementsAtOnce / std::max<std::int64_t>(1, inputs));
    std::vector<std::byte> out(static_cast<std::size_t>((end - begin) * columns) * width_);
    for (std::int64_t first = 0; first < columns; first += band) {
      const std::int64_t last = std::min(columns, first + band);
      THIMBLE_ASSIGN(const ir::Rows rows, numbers(first, last));
      for (std::int64_t column = first; column < last; ++column) {
        for (std::int64_t row = begin; row < end; ++row) {
          const auto to = static_cast<std::size_t>((row - begin) * columns + column);
          const auto at = static_cast<std::size_t>((column - first) * inputs + row);
          std::memcpy(out.data() + to * width_, rows.dense.data() + at * width_, width_);
        }
      }
      from_.source->release(first, last);
    }
    return ir::dense_rows(end - begin, std::move(out));
  }

  std::string describe() const override { return from_.source->describe() + ", turned"; }

 private:
  Expected<ir::Rows> numbers(std::int64_t begin, std::int64_t end) const {
    THIMBLE_ASSIGN(ir::Rows rows, from_.source->read(begin, end));
    if (from_.encoding.is_dense()) return rows;
    std::vector<float> values(static_cast<std::size_t>((end - begin) * from_.inputs()));
    THIMBLE_TRY(ir::decode_rows(from_.encoding, from_.dtype, rows, from_.inputs(), values));
    return ir::dense_rows(end - begin, std::move(values));
  }

  ir::Weight from_;
  std::size_t width_;  // bytes of an element
};

}  // namespace

ir::Weight turned(const ir::Weight& weight) {
  ir::Weight out = weight;
  out.encoding = ir::Encoding::dense();
  out.dtype = weight.encoding.is_dense() ? weight.dtype : ir::DType::kF32;
  out.dims = {weight.inputs(), weight.rows()};
  const auto width = static_cast<std::size_t>(ir::dtype_bits(out.dtype) / 8);
  out.source = std::make_shared<TurnedSource>(weight, width);
  return out;
}

}  // namespace thimble::formats
