#include "formats/gguf/source.h"

#include <cmath>

namespace thimble::formats::gguf {
namespace {

// Row r of a head of 2n rows is row 2 (r mod n) + r / n of the file's.
std::int64_t interleaved(std::int64_t row, std::int64_t head_rows) {
  const std::int64_t half = head_rows / 2, within = row % head_rows;
  return row - within + 2 * (within % half) + within / half;
}

class BlockSource : public ir::WeightSource {
 public:
  BlockSource(std::shared_ptr<const MappedFile> file, const Tensor& tensor, std::int64_t rows,
              std::int64_t head_rows, float factor)
      : file_(std::move(file)), tensor_(tensor), head_rows_(head_rows), factor_(factor) {
    row_bytes_ = rows > 0 ? tensor.size / static_cast<std::uint64_t>(rows) : 0;
  }

  Expected<ir::Rows> read(std::int64_t begin, std::int64_t end) const override {
    return tensor_.type->dense == ir::DType::kUndefined ? read_blocks(begin, end)
                                                        : read_dense(begin, end);
  }

  // Rows that were interleaved lie in the same head, whose pages are dropped once it is done.
  void release(std::int64_t begin, std::int64_t end) const override {
    if (head_rows_ > 0) begin -= begin % head_rows_, end -= end % head_rows_;
    if (begin >= end) return;
    file_->release(tensor_.offset + static_cast<std::uint64_t>(begin) * row_bytes_,
                   static_cast<std::uint64_t>(end - begin) * row_bytes_);
  }

  std::span<const std::byte> in_place() const override {
    if (tensor_.type->dense == ir::DType::kUndefined || head_rows_ > 0) return {};
    return file_->bytes().subspan(tensor_.offset, tensor_.size);
  }

  std::string describe() const override {
    return file_->path() + " @ " + std::to_string(tensor_.offset) + " " +
           std::string(tensor_.type->name);
  }

 private:
  std::span<const std::byte> row(std::int64_t index) const {
    const std::int64_t at = head_rows_ > 0 ? interleaved(index, head_rows_) : index;
    return file_->bytes().subspan(tensor_.offset + static_cast<std::uint64_t>(at) * row_bytes_,
                                  row_bytes_);
  }

  Expected<ir::Rows> read_dense(std::int64_t begin, std::int64_t end) const {
    const std::uint64_t size = static_cast<std::uint64_t>(end - begin) * row_bytes_;
    if (head_rows_ == 0) {
      ir::Rows rows;
      rows.count = end - begin;
      rows.dense = file_->bytes().subspan(
          tensor_.offset + static_cast<std::uint64_t>(begin) * row_bytes_, size);
      rows.owner = file_;
      return rows;
    }
    std::vector<std::byte> copy;
    copy.reserve(size);
    for (std::int64_t r = begin; r < end; ++r) {
      const auto bytes = row(r);
      copy.insert(copy.end(), bytes.begin(), bytes.end());
    }
    return ir::dense_rows(end - begin, std::move(copy));
  }

  Expected<ir::Rows> read_blocks(std::int64_t begin, std::int64_t end) const {
    ir::Rows rows;
    rows.count = end - begin;
    const auto block_bytes = static_cast<std::size_t>(tensor_.type->bytes);
    const std::size_t blocks = row_bytes_ / block_bytes * static_cast<std::size_t>(rows.count);
    rows.codes.reserve(blocks * static_cast<std::size_t>(tensor_.type->elements));
    rows.scales.reserve(blocks);
    for (std::int64_t r = begin; r < end; ++r) {
      const auto bytes = row(r);
      const auto* first = reinterpret_cast<const std::uint8_t*>(bytes.data());
      for (std::size_t at = 0; at < bytes.size(); at += block_bytes) {
        if (!tensor_.type->unpack(first + at, rows)) {
          return invalid_file("a block's scale is not a finite number")
              .in(file_->path())
              .at_tensor(tensor_.name)
              .at_offset(tensor_.offset + static_cast<std::uint64_t>(r) * row_bytes_);
        }
      }
    }
    for (float& scale : rows.scales) scale *= factor_;
    return rows;
  }

  std::shared_ptr<const MappedFile> file_;
  Tensor tensor_;
  std::uint64_t row_bytes_ = 0;
  std::int64_t head_rows_ = 0;  // 0: rows are in order
  float factor_ = 1;
};

// One value a row: too few to be worth a source of their own.
Expected<ir::Weight> reordered_vector(const ir::Weight& weight, std::int64_t head_rows) {
  THIMBLE_ASSIGN(const std::vector<float> values, ir::read_floats(weight));
  std::vector<float> out;
  for (std::size_t r = 0; r < values.size(); ++r) {
    out.push_back(
        values[static_cast<std::size_t>(interleaved(static_cast<std::int64_t>(r), head_rows))]);
  }
  ir::Weight ordered = ir::make_dense(weight.name, weight.dims, out);
  ordered.source_parameters = weight.source_parameters;
  return ordered;
}

}  // namespace

Expected<ir::Weight> mapped_tensor(const Container& container, const Tensor& tensor,
                                   const std::string& name, std::int64_t heads, float factor) {
  ir::Weight weight;
  weight.name = name;
  weight.dims = tensor.dims;
  weight.source_parameters = static_cast<std::uint64_t>(weight.element_count());
  if (tensor.type->dense != ir::DType::kUndefined) {
    weight.dtype = tensor.type->dense;
  } else {
    weight.encoding = tensor.type->encoding();
  }
  if (!std::isfinite(factor) || factor < 1e-30f || factor > 1e30f) {
    return invalid_file("the scale beside it is no usable number")
        .at_tensor(tensor.name)
        .in(container.file->path());
  }
  if (factor != 1) {  // a power of two goes into the exponent, another into the scales
    int exponent = 0;
    if (std::frexp(factor, &exponent) == 0.5f) {
      weight.encoding.scale_exponent += exponent - 1;
    } else {
      weight.encoding.scale_exponent = 0;
      weight.encoding.scale_type = ir::DType::kF32;
    }
  }
  const std::int64_t outputs = tensor.dims.empty() ? 1 : tensor.dims.front();
  if (heads > 0 && (outputs % heads != 0 || outputs / heads % 2 != 0)) {
    return invalid_file("its rows don't divide into " + std::to_string(heads) + " heads")
        .at_tensor(tensor.name)
        .in(container.file->path());
  }
  const std::int64_t head_rows = heads > 0 ? outputs / heads : 0;
  const bool vector = tensor.dims.size() < 2;
  weight.source = std::make_shared<BlockSource>(container.file, tensor, weight.rows(),
                                                vector ? 0 : head_rows, factor);
  return vector && heads > 0 ? reordered_vector(weight, head_rows)
                             : Expected<ir::Weight>(std::move(weight));
}

}  // namespace thimble::formats::gguf
