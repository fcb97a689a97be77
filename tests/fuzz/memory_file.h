#pragma once
// Bytes under a path, for readers that map files.

#include <cstddef>
#include <cstdint>
#include <string>
#include <unistd.h>

#include <sys/mman.h>

class MemoryFile {
 public:
  MemoryFile(const std::uint8_t* data, std::size_t size) : descriptor_(memfd_create("fuzz", 0)) {
    for (std::size_t done = 0; done < size;) {
      const ssize_t wrote = write(descriptor_, data + done, size - done);
      if (wrote <= 0) break;
      done += static_cast<std::size_t>(wrote);
    }
  }
  ~MemoryFile() { close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};
