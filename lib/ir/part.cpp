#include "ir/part.h"

#include <utility>

#include "support/checked.h"

namespace thimble::ir {
namespace {

class PartSource : public WeightSource {
 public:
  PartSource(std::shared_ptr<const WeightSource> whole, std::int64_t index, std::uint64_t row_bytes,
             std::int64_t rows)
      : whole_(std::move(whole)), index_(index), row_bytes_(row_bytes), rows_(rows) {}

  Expected<Rows> read(std::int64_t begin, std::int64_t end) const override {
    THIMBLE_ASSIGN(Rows rows, whole_->read(index_, index_ + 1));
    const std::uint64_t at = static_cast<std::uint64_t>(begin) * row_bytes_;
    const std::uint64_t size = static_cast<std::uint64_t>(end - begin) * row_bytes_;
    if (!range_inside(at, size, rows.dense.size()))
      return invalid_file("it holds fewer bytes than its dims say");
    rows.count = end - begin;
    rows.dense = rows.dense.subspan(at, size);
    return rows;
  }

  // The whole's rows are no finer than this part.
  void release(std::int64_t, std::int64_t end) const override {
    if (end == rows_) whole_->release(index_, index_ + 1);
  }

  std::span<const std::byte> in_place() const override {
    const std::span<const std::byte> all = whole_->in_place();
    const std::uint64_t size = row_bytes_ * static_cast<std::uint64_t>(rows_);
    const std::uint64_t at = size * static_cast<std::uint64_t>(index_);
    return range_inside(at, size, all.size()) ? all.subspan(at, size)
                                              : std::span<const std::byte>();
  }

  std::string describe() const override {
    return "part " + std::to_string(index_) + " of " + whole_->describe();
  }

 private:
  std::shared_ptr<const WeightSource> whole_;
  std::int64_t index_;
  std::uint64_t row_bytes_;
  std::int64_t rows_;
};

}  // namespace

Weight part_of(const Weight& whole, std::int64_t index) {
  Weight part;
  part.name = whole.name + "." + std::to_string(index);
  part.dtype = whole.dtype;
  part.dims.assign(whole.dims.begin() + 1, whole.dims.end());
  part.source_parameters = whole.source_parameters / static_cast<std::uint64_t>(whole.dims.front());
  const std::int64_t rows = part.rows();
  const std::uint64_t row_bytes =
      rows == 0 ? 0 : part.byte_size() / static_cast<std::uint64_t>(rows);
  part.source = std::make_shared<PartSource>(whole.source, index, row_bytes, rows);
  return part;
}

}  // namespace thimble::ir
