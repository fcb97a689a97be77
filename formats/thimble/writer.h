#pragma once
// Writes a .thimble file: segments as they are produced, then the header. The file appears under
// its name only when it is whole; until then it can be opened under another, to be measured.

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lower/lower.h"
#include "program/header.h"
#include "support/atomic_file.h"
#include "support/progress.h"
#include "support/thread_pool.h"

namespace thimble::formats {

class ThimbleWriter {
 public:
  // `about` is what travels beside the program (lower::describe).
  static Expected<std::unique_ptr<ThimbleWriter>> create(const std::string& path,
                                                         lower::Lowered lowered,
                                                         program::Bundle about);

  // Produces every tensor a few pieces at a time in all threads and writes them; memory doesn't
  // grow with the model. An interrupt ends it with kInterrupted.
  Status write_payloads(ThreadPool& pool, Progress& progress);

  // Writes a header and opens what is there so far.
  Expected<program::Bundle> open_partial(const program::Metadata& metadata);

  // Writes the final header and gives the file its name.
  Status finish(program::Metadata metadata);

  // Of the file that finish() makes of this metadata, once the payloads are written.
  std::uint64_t file_bytes_with(const program::Metadata& metadata) const;

  std::uint64_t file_bytes() const { return file_bytes_; }

 private:
  // The pieces of one batch, stream after stream.
  struct Batch {
    std::vector<std::byte> bytes;
    std::vector<std::span<std::byte>> streams;

    void shape(std::uint64_t pieces, const std::vector<std::uint64_t>& piece_bytes) {
      std::uint64_t total = 0;
      for (const std::uint64_t size : piece_bytes) total += pieces * size;
      bytes.resize(total);
      streams.clear();
      std::size_t at = 0;
      for (const std::uint64_t size : piece_bytes) {
        streams.push_back(std::span(bytes).subspan(at, pieces * size));
        at += pieces * size;
      }
    }
  };

  ThimbleWriter() = default;
  Status write_tensor(std::size_t tensor, ThreadPool& pool, Progress& progress);
  Status place_streams(std::size_t tensor);
  Status write_streams(std::size_t tensor, ThreadPool& pool, Progress& progress);
  Status share_streams(std::size_t tensor, std::uint64_t start);
  Status write_tokenizer();
  Status write_header(program::Metadata metadata);

  std::unique_ptr<AtomicFile> file_;
  lower::Lowered lowered_;
  program::Header header_;
  std::map<std::pair<std::array<std::uint8_t, 16>, std::uint64_t>, std::int32_t>
      by_digest_;  // (digest, size): segment
  std::vector<std::byte> tokenizer_;
  Batch batches_[2];
  std::uint64_t segments_end_ = 0;
  std::uint64_t file_bytes_ = 0;
};

// What the file of such a program will take, where no two of its tensors hold the same.
std::uint64_t thimble_bytes(program::Program program, const program::Bundle& about,
                            program::Metadata metadata);

}  // namespace thimble::formats
