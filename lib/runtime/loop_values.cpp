#include "runtime/loop_values.h"

#include <algorithm>
#include <cstring>

#include "runtime/ops/ops.h"

namespace thimble::runtime {
namespace {

std::size_t size_of(const Value& value) {
  return static_cast<std::size_t>(value.count() * program::type_bytes(value.type));
}

// Of values that a loop hands on, and of each result that its rounds add to: a file may say a loop
// without end.
constexpr std::size_t kMostGathered = std::size_t{1} << 30;

Status check_gathered(std::size_t held, std::size_t more, const std::string& name) {
  if (more <= kMostGathered && held <= kMostGathered - more) return ok();
  return Error(ErrorCode::kResource,
               "a loop's values grow beyond " + std::to_string(kMostGathered >> 20) + " MiB")
      .at_tensor(name)
      .fix("give the loop fewer rounds, or a condition that ends it sooner");
}

std::int64_t count_before(const Dims& dims, std::size_t axis) {
  return count_of(Dims(dims.begin(), dims.begin() + static_cast<std::ptrdiff_t>(axis)));
}

// Runs of bytes in rows and columns, written with the two exchanged: so an axis comes to the front,
// and back.
void turn_runs(const std::byte* from, std::int64_t rows, std::int64_t columns, std::size_t run,
               std::byte* to) {
  if (run == 0) return;  // nothing lies anywhere
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t column = 0; column < columns; ++column) {
      std::memcpy(to + static_cast<std::size_t>(column * rows + row) * run,
                  from + static_cast<std::size_t>(row * columns + column) * run, run);
    }
  }
}

}  // namespace

Status Carried::take(const Value& value, const std::string& name) {
  const std::size_t bytes = size_of(value);
  THIMBLE_TRY(check_gathered(bytes_, bytes, name));
  held_.push_back({value.type, value.dims, {}});
  THIMBLE_TRY(held_.back().memory.allocate(bytes));
  if (bytes > 0) std::memcpy(held_.back().memory.data(), value.data, bytes);
  bytes_ += bytes;
  return ok();
}

Value Carried::at(std::size_t i) const {
  Value value;
  value.type = held_[i].type;
  value.dims = held_[i].dims;
  value.data = held_[i].memory.data();
  return value;
}

void Carried::clear() {
  held_.clear();
  bytes_ = 0;
}

Expected<Sequence> Sequence::of(const Value& x, Along along) {
  THIMBLE_ASSIGN(const std::size_t at, axis_at(along.axis, x.dims.size()));
  Sequence out;
  out.length_ = x.dims[at];
  out.backwards_ = along.backwards;
  out.slice_.type = x.type;
  out.slice_.dims = x.dims;
  out.slice_.dims.erase(out.slice_.dims.begin() + static_cast<std::ptrdiff_t>(at));
  out.bytes_.resize(size_of(x));
  const std::int64_t outer = count_before(x.dims, at);
  const std::size_t run = outer > 0 ? size_of(out.slice_) / static_cast<std::size_t>(outer) : 0;
  turn_runs(static_cast<const std::byte*>(x.data), outer, out.length_, run, out.bytes_.data());
  return out;
}

Value Sequence::slice(std::int64_t round) {
  const auto at = static_cast<std::size_t>(backwards_ ? length_ - 1 - round : round);
  slice_.data = bytes_.data() + at * size_of(slice_);
  return slice_;
}

Status Stack::add(const Value& value, const std::string& name) {
  if (rounds_ > 0 && value.dims != round_.dims)
    return invalid_argument("a loop's scanned results differ in shape");
  const std::size_t bytes = size_of(value);
  THIMBLE_TRY(check_gathered(bytes_, bytes, name));
  THIMBLE_TRY(reserve(bytes_ + bytes));
  if (bytes > 0) std::memcpy(memory_.data() + bytes_, value.data, bytes);
  bytes_ += bytes;
  round_ = value;
  ++rounds_;
  return ok();
}

Expected<Value> Stack::stacked(program::Type type) {
  Value out;
  out.type = type;
  out.dims = rounds_ > 0 ? round_.dims : Dims();
  THIMBLE_ASSIGN(const std::size_t at, axis_at(along_.axis, out.dims.size() + 1));
  const std::size_t slice = rounds_ > 0 ? size_of(round_) : 0;
  if (along_.backwards) reverse(slice);
  if (at > 0) {
    const std::int64_t outer = count_before(out.dims, at);
    const std::size_t run = outer > 0 ? slice / static_cast<std::size_t>(outer) : 0;
    Memory moved;
    THIMBLE_TRY(moved.allocate(bytes_));
    turn_runs(memory_.data(), rounds_, outer, run, moved.data());
    memory_ = std::move(moved);
  }
  out.dims.insert(out.dims.begin() + static_cast<std::ptrdiff_t>(at), rounds_);
  out.data = memory_.data();
  return out;
}

Status Stack::reserve(std::size_t bytes) {
  if (bytes <= memory_.size()) return ok();
  Memory larger;
  THIMBLE_TRY(larger.allocate(std::max(bytes, 2 * memory_.size())));
  if (bytes_ > 0) std::memcpy(larger.data(), memory_.data(), bytes_);
  memory_ = std::move(larger);
  return ok();
}

void Stack::reverse(std::size_t slice) {
  std::byte* const data = memory_.data();
  for (std::size_t i = 0, j = bytes_; i + slice < j; i += slice) {
    j -= slice;
    std::swap_ranges(data + i, data + i + slice, data + j);
  }
}

}  // namespace thimble::runtime
