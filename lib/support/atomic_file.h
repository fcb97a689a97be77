#pragma once
// A file that appears whole or not at all: written beside its final name as NAME.partial, synced,
// renamed.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "support/expected.h"

namespace thimble {

class AtomicFile {
 public:
  // Creates PATH.partial (replacing a leftover of an earlier run). The directory must exist. While
  // another process writes the same file, that is an error. Where PATH is a link, all of this is
  // about the file that it leads to.
  static Expected<std::unique_ptr<AtomicFile>> create(const std::string& path);
  ~AtomicFile();  // removes the partial file unless committed
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  Status append(std::span<const std::byte> bytes);
  Status append(std::string_view text);
  Status pad_to(std::uint64_t alignment);                             // zero bytes
  Status write_at(std::uint64_t offset, std::span<const std::byte>);  // inside what was written
  Status resize(std::uint64_t size);                                  // cuts, or adds zero bytes
  std::uint64_t size() const;                                         // bytes appended so far
  const std::string& partial_path() const;  // readable once flush() has returned
  Status flush();
  Status commit();  // flush, fsync, rename over PATH, fsync the directory

 private:
  AtomicFile() = default;
  struct State;
  std::unique_ptr<State> state_;
};

// Such a file of this text.
Status write_file(const std::string& path, std::string_view text);
// Could one be written there? For before the work whose result it is to hold.
Status check_writable(const std::string& path);

}  // namespace thimble
