#pragma once
// A bounded little-endian reader over bytes that nobody vouches for.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "support/expected.h"

namespace thimble {

class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> bytes, std::uint64_t base = 0)
      : bytes_(bytes), base_(base) {}
  std::uint64_t offset() const { return base_ + position_; }  // in the file
  std::uint64_t remaining() const { return bytes_.size() - position_; }

  template <class T>
  Expected<T> read() {
    static_assert(std::is_trivially_copyable_v<T> && std::endian::native == std::endian::little);
    if (remaining() < sizeof(T)) return past_end(sizeof(T));
    T value;
    std::memcpy(&value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return value;
  }
  Expected<std::span<const std::byte>> read_bytes(std::uint64_t size) {
    if (remaining() < size) return past_end(size);
    auto out = bytes_.subspan(position_, size);
    position_ += size;
    return out;
  }
  Expected<std::string_view> read_text(std::uint64_t size) {
    THIMBLE_ASSIGN(auto raw, read_bytes(size));
    return std::string_view(reinterpret_cast<const char*>(raw.data()), raw.size());
  }
  Status skip(std::uint64_t size) {
    if (remaining() < size) return past_end(size);
    position_ += size;
    return ok();
  }

 private:
  Error past_end(std::uint64_t wanted) const {
    return invalid_file("truncated: " + std::to_string(wanted) + " bytes wanted, " +
                        std::to_string(remaining()) + " left")
        .at_offset(offset());
  }
  std::span<const std::byte> bytes_;
  std::uint64_t base_ = 0;
  std::size_t position_ = 0;
};

}  // namespace thimble
