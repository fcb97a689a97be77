#pragma once
// A read-only private mapping of a whole file. Looking at a 100 GB model is instant; touched pages
// count as resident, so code that streams through a mapping releases what it has done with. A file
// that somebody shortens meanwhile raises SIGBUS, as with every mapping.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "support/expected.h"

namespace thimble {

class MappedFile {
 public:
  // Refuses what is not a regular file. An empty file gives an empty span. Errors name the path.
  static Expected<std::shared_ptr<const MappedFile>> open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }
  std::uint64_t size() const { return size_; }
  const std::string& path() const { return path_; }

  // A hint: drop the resident pages that lie wholly inside a range (they are read again from the
  // file when touched).
  void release(std::uint64_t offset, std::uint64_t size) const;

 private:
  MappedFile() = default;
  std::string path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace thimble
