#include "ir/turned.h"

#include <algorithm>
#include <cstring>

#include "ir/decode.h"

namespace thimble::ir {
namespace {

constexpr std::int64_t kElementsAtOnce = 1 << 16;

// Columns [begin, end) of `from` [count, inputs] become rows of `to`, `stride` elements apart.
template <std::size_t kWidth>
void turn(const std::byte* from, std::int64_t count, std::int64_t inputs, std::int64_t begin,
          std::int64_t end, std::byte* to, std::int64_t stride) {
  for (std::int64_t row = begin; row < end; ++row, to += stride * kWidth) {
    for (std::int64_t column = 0; column < count; ++column)
      std::memcpy(to + column * kWidth, from + (column * inputs + row) * kWidth, kWidth);
  }
}

class TurnedSource : public WeightSource {
 public:
  TurnedSource(Weight from, std::size_t width) : from_(std::move(from)), width_(width) {}

  // Rows are columns of the other, which is read in bands.
  Expected<Rows> read(std::int64_t begin, std::int64_t end) const override {
    const auto turn_elements = width_ == 1   ? turn<1>
                               : width_ == 2 ? turn<2>
                               : width_ == 4 ? turn<4>
                                             : turn<8>;
    const std::int64_t columns = from_.rows(), inputs = from_.inputs();
    const std::int64_t band =
        std::max<std::int64_t>(1, kElementsAtOnce / std::max<std::int64_t>(1, inputs));
    std::vector<std::byte> out(static_cast<std::size_t>((end - begin) * columns) * width_);
    for (std::int64_t first = 0; first < columns; first += band) {
      const std::int64_t last = std::min(columns, first + band);
      THIMBLE_ASSIGN(const Rows rows, numbers(first, last));
      turn_elements(rows.dense.data(), last - first, inputs, begin, end,
                    out.data() + static_cast<std::size_t>(first) * width_, columns);
    }
    return dense_rows(end - begin, std::move(out));
  }
  // Each row has touched all of the other's.
  void release(std::int64_t, std::int64_t) const override {
    from_.source->release(0, from_.rows());
  }
  std::string describe() const override { return from_.source->describe() + ", turned"; }

 private:
  Expected<Rows> numbers(std::int64_t begin, std::int64_t end) const {
    THIMBLE_ASSIGN(Rows rows, from_.source->read(begin, end));
    if (from_.encoding.is_dense()) return rows;
    std::vector<float> values(static_cast<std::size_t>((end - begin) * from_.inputs()));
    THIMBLE_TRY(decode_rows(from_.encoding, from_.dtype, rows, from_.inputs(), values));
    return dense_rows(end - begin, std::move(values));
  }

  Weight from_;
  std::size_t width_;  // bytes of an element
};

}  // namespace

Weight turned(const Weight& weight) {
  Weight out = weight;
  out.encoding = Encoding::dense();
  out.dtype = weight.encoding.is_dense() ? weight.dtype : DType::kF32;
  out.dims = {weight.inputs(), weight.rows()};
  const auto width = static_cast<std::size_t>(dtype_bits(out.dtype) / 8);
  THIMBLE_CHECK(width == 1 || width == 2 || width == 4 || width == 8, "elements of whole bytes");
  out.source = std::make_shared<TurnedSource>(weight, width);
  return out;
}

}  // namespace thimble::ir
