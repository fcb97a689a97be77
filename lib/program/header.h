#pragma once
// The header of a .thimble file as bytes, and back.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "program/bundle.h"

namespace thimble::program {

// The file begins with this; everything little-endian. The header lies at the end, so that segments
// are written as they come and the header again once the file was measured.
struct Preamble {
  static constexpr std::size_t kBytes = 64;
  static constexpr std::array<char, 8> kMagic = {'T', 'H', 'I', 'M', 'B', 'L', 'E', '\0'};
  static constexpr std::uint32_t kVersion = 1;
  std::uint64_t header_offset = 0;
  std::uint64_t header_size = 0;
  std::uint64_t file_size = 0;
  Digest header_digest;

  std::array<std::byte, kBytes> to_bytes() const;
  static Expected<Preamble> parse(std::span<const std::byte> file);
};

inline constexpr std::uint64_t kMaxHeaderBytes = 64u << 20;
inline constexpr std::uint64_t kSegmentAlignment = 64;

// What a header says. `tokenizer_segment` is an index into the program's segments, -1 for none.
struct Header {
  Program program;
  std::int32_t tokenizer_segment = -1;
  std::string chat_template;
  Generation generation;
  Metadata metadata;
  std::uint64_t parameters = 0;
};

std::vector<std::byte> write_header(const Header& header);
// Checks everything that FlatBuffers' verifier and `verify` check; `file_size` bounds the segments.
Expected<Header> read_header(std::span<const std::byte> bytes, std::uint64_t file_size);

}  // namespace thimble::program
