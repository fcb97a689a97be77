#pragma once
// Zeroed memory on a 64-byte boundary. Large pieces come from the system untouched, so what is
// never written never becomes resident: caches may be made for a whole context.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "support/checked.h"
#include "support/expected.h"

namespace thimble::runtime {

class Memory {
 public:
  static constexpr std::size_t kAlignment = 64;
  // What so many bytes take where another piece on a boundary follows them.
  static constexpr std::size_t aligned(std::size_t bytes) { return round_up(bytes, kAlignment); }

  // Replaces what was held. An error (kResource) when the machine has no more.
  Status allocate(std::size_t bytes) {
    held_.reset(std::calloc(bytes + kAlignment, 1));
    size_ = held_ == nullptr ? 0 : bytes;
    if (held_ != nullptr) return ok();
    return Error(ErrorCode::kResource, "no memory for " + std::to_string(bytes >> 20) + " MiB")
        .fix("use a shorter context or a smaller batch");
  }
  std::byte* data() const {
    const auto address = reinterpret_cast<std::uintptr_t>(held_.get());
    return static_cast<std::byte*>(held_.get()) + (kAlignment - address % kAlignment) % kAlignment;
  }
  std::size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  std::unique_ptr<void, Free> held_;
  std::size_t size_ = 0;
};

}  // namespace thimble::runtime
