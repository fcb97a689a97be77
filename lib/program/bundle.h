#pragma once
// A Program together with everything that `run` and `eval` need beside it: what one .thimble file
// holds.

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "program/program.h"
#include "support/mapped_file.h"

namespace thimble::program {

struct Generation {
  std::vector<std::int64_t> eos_token_ids;
  std::int64_t bos_token_id = -1;  // -1: none
  float temperature = -1;          // negative: not stated
  std::int64_t top_k = -1;
  float top_p = -1;
  float repetition_penalty = -1;
};

// Text for people and tools; deterministic, so no times, paths or thread counts. Sorted by key.
using Metadata = std::vector<std::pair<std::string, std::string>>;
const std::string* find(const Metadata& metadata, std::string_view key);  // null: there is none

// Where the streams of the tensors are: one span per segment. `keep` owns the mappings and buffers.
struct Bundle {
  Program program;
  std::vector<std::span<const std::byte>> segments;  // by segment index
  std::vector<std::shared_ptr<const void>> keep;
  std::vector<std::byte> tokenizer_copy;  // when not in a mapping
  std::span<const std::byte> tokenizer;   // empty: none
  std::string chat_template;
  Generation generation;
  Metadata metadata;
  std::uint64_t file_bytes = 0;  // 0 when the program was lowered in memory
  std::uint64_t parameters = 0;  // of the original float model, shared ones once
};

// Reads a .thimble file: preamble, header (FlatBuffers, verified), segments in place.
// `check_digests` reads every byte once; without it only the header's digest is checked.
Expected<Bundle> open_thimble(const std::string& path, bool check_digests = false);
// The same of a whole file in memory, which begins at a multiple of 64 bytes and outlives the
// bundle.
Expected<Bundle> read_thimble(std::span<const std::byte> file, bool check_digests = false);

}  // namespace thimble::program
