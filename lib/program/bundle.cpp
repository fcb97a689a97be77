#include "program/bundle.h"

#include "program/header.h"

namespace thimble::program {
namespace {

// `mapping`: what `file` is a mapping of, for giving back what was checked; or null.
Expected<Bundle> read_bundle(std::span<const std::byte> file, const MappedFile* mapping,
                             bool check_digests) {
  THIMBLE_ASSIGN(const Preamble preamble, Preamble::parse(file));
  const auto bytes = file.subspan(preamble.header_offset, preamble.header_size);
  if (digest_of(bytes) != preamble.header_digest)
    return invalid_file("the header's digest is wrong")
        .at_offset(preamble.header_offset)
        .fix("copy the file again: it was changed");
  THIMBLE_ASSIGN(Header header, read_header(bytes, file.size()));
  Bundle bundle;
  for (const Segment& segment : header.program.segments) {
    bundle.segments.push_back(file.subspan(segment.offset, segment.size));
    if (!check_digests) continue;
    if (digest_of(bundle.segments.back()) != segment.digest)
      return invalid_file("a segment's digest is wrong")
          .at_offset(segment.offset)
          .fix("copy the file again: it was changed");
    if (mapping != nullptr) mapping->release(segment.offset, segment.size);
  }
  if (header.tokenizer_segment >= 0)
    bundle.tokenizer = bundle.segments[static_cast<std::size_t>(header.tokenizer_segment)];
  bundle.program = std::move(header.program);
  bundle.chat_template = std::move(header.chat_template);
  bundle.generation = std::move(header.generation);
  bundle.metadata = std::move(header.metadata);
  bundle.parameters = header.parameters;
  bundle.file_bytes = file.size();
  return bundle;
}

}  // namespace

const std::string* find(const Metadata& metadata, std::string_view key) {
  for (const auto& [name, value] : metadata) {
    if (name == key) return &value;
  }
  return nullptr;
}

Expected<Bundle> open_thimble(const std::string& path, bool check_digests) {
  THIMBLE_ASSIGN(const auto file, MappedFile::open(path));
  auto bundle = read_bundle(file->bytes(), file.get(), check_digests);
  if (!bundle) return std::move(bundle).error().in(path);
  bundle->keep.push_back(file);
  return bundle;
}

Expected<Bundle> read_thimble(std::span<const std::byte> file, bool check_digests) {
  if (reinterpret_cast<std::uintptr_t>(file.data()) % kSegmentAlignment != 0)
    return invalid_argument("a .thimble file in memory has to begin at a multiple of " +
                            std::to_string(kSegmentAlignment) + " bytes")
        .fix("map the file, or copy it to where aligned_alloc says");
  return read_bundle(file, nullptr, check_digests);
}

}  // namespace thimble::program
