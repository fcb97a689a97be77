#include "program/bundle.h"

#include "program/header.h"

namespace thimble::program {
namespace {

Expected<Bundle> open_mapped(const std::shared_ptr<const MappedFile>& file, bool check_digests) {
  THIMBLE_ASSIGN(const Preamble preamble, Preamble::parse(file->bytes()));
  const auto bytes = file->bytes().subspan(preamble.header_offset, preamble.header_size);
  if (digest_of(bytes) != preamble.header_digest)
    return invalid_file("the header's digest is wrong")
        .at_offset(preamble.header_offset)
        .fix("copy the file again: it was changed");
  THIMBLE_ASSIGN(Header header, read_header(bytes, file->size()));
  Bundle bundle;
  for (const Segment& segment : header.program.segments) {
    bundle.segments.push_back(file->bytes().subspan(segment.offset, segment.size));
    if (!check_digests) continue;
    if (digest_of(bundle.segments.back()) != segment.digest)
      return invalid_file("a segment's digest is wrong")
          .at_offset(segment.offset)
          .fix("copy the file again: it was changed");
    file->release(segment.offset, segment.size);
  }
  if (header.tokenizer_segment >= 0)
    bundle.tokenizer = bundle.segments[static_cast<std::size_t>(header.tokenizer_segment)];
  bundle.program = std::move(header.program);
  bundle.chat_template = std::move(header.chat_template);
  bundle.generation = std::move(header.generation);
  bundle.metadata = std::move(header.metadata);
  bundle.parameters = header.parameters;
  bundle.file_bytes = file->size();
  bundle.keep.push_back(file);
  return bundle;
}

}  // namespace

Expected<Bundle> open_thimble(const std::string& path, bool check_digests) {
  THIMBLE_ASSIGN(const auto file, MappedFile::open(path));
  auto bundle = open_mapped(file, check_digests);
  if (!bundle) return std::move(bundle).error().in(path);
  return bundle;
}

}  // namespace thimble::program
