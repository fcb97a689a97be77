#include "formats/thimble/writer.h"

#include <algorithm>
#include <future>
#include <mutex>
#include <numeric>

#include "support/checked.h"
#include "support/system.h"

namespace thimble::formats {
namespace {

// Bytes of streams in one batch, over all threads: enough to keep threads and disk busy. Two
// batches are held at once: while one is hashed and written, the next is produced.
constexpr std::uint64_t kBatchBytes = 12u << 20;

Status produce_batch(const lower::Payload& payload, std::int64_t begin, std::int64_t end,
                     const std::vector<std::span<std::byte>>& streams, ThreadPool& pool) {
  const std::vector<std::uint64_t> bytes = payload.piece_bytes();
  std::mutex mutex;
  Status first = ok();
  pool.parallel_for(static_cast<std::size_t>(end - begin), 1,
                    [&](std::size_t from, std::size_t to) {
                      std::vector<std::span<std::byte>> part;
                      for (std::size_t s = 0; s < streams.size(); ++s)
                        part.push_back(streams[s].subspan(from * bytes[s], (to - from) * bytes[s]));
                      Status status = payload.produce(begin + static_cast<std::int64_t>(from),
                                                      begin + static_cast<std::int64_t>(to), part);
                      if (status) return;
                      const std::lock_guard lock(mutex);
                      if (first) first = std::move(status);
                    });
  payload.release(begin, end);
  return first;
}

std::int64_t pieces_at_once(const std::vector<std::uint64_t>& piece_bytes) {
  const auto bytes = std::accumulate(piece_bytes.begin(), piece_bytes.end(), std::uint64_t{0});
  return std::max<std::int64_t>(
      1, static_cast<std::int64_t>(kBatchBytes / std::max<std::uint64_t>(bytes, 1)));
}

program::Header header_of(program::Program program, const program::Bundle& about) {
  program::Header header;
  header.program = std::move(program);
  header.chat_template = about.chat_template;
  header.generation = about.generation;
  header.parameters = about.parameters;
  return header;
}

// Gives the segment its place behind `end`, which moves on.
void place(program::Segment& segment, std::uint64_t& end) {
  segment.offset = round_up(end, program::kSegmentAlignment);
  end = segment.offset + segment.size;
}

std::uint64_t bytes_of(program::Header header, std::uint64_t segments_end,
                       program::Metadata metadata) {
  std::sort(metadata.begin(), metadata.end());
  header.metadata = std::move(metadata);
  return round_up(segments_end, program::kSegmentAlignment) + program::write_header(header).size();
}

}  // namespace

std::uint64_t thimble_bytes(program::Program program, const program::Bundle& about,
                            program::Metadata metadata) {
  program::Header header = header_of(std::move(program), about);
  std::vector<program::Segment>& segments = header.program.segments;
  if (!about.tokenizer.empty()) {
    header.tokenizer_segment = static_cast<std::int32_t>(segments.size());
    segments.push_back({0, about.tokenizer.size(), {}});
  }
  std::uint64_t end = program::Preamble::kBytes;
  for (program::Segment& segment : segments) {
    place(segment, end);
    segment.digest.bytes.fill(1);  // a header leaves out what is 0
  }
  return bytes_of(std::move(header), end, std::move(metadata));
}

Expected<std::unique_ptr<ThimbleWriter>> ThimbleWriter::create(const std::string& path,
                                                               lower::Lowered lowered,
                                                               program::Bundle about) {
  std::unique_ptr<ThimbleWriter> writer(new ThimbleWriter);
  THIMBLE_ASSIGN(writer->file_, AtomicFile::create(path));
  writer->header_ = header_of(std::move(lowered.program), about);
  writer->lowered_.payloads = std::move(lowered.payloads);
  writer->lowered_.weight_names = std::move(lowered.weight_names);
  writer->tokenizer_.assign(about.tokenizer.begin(), about.tokenizer.end());
  THIMBLE_TRY(writer->file_->append(program::Preamble{}.to_bytes()));
  return writer;
}

Status ThimbleWriter::write_payloads(ThreadPool& pool, Progress& progress) {
  double total = 0;
  for (const program::Segment& segment : header_.program.segments)
    total += static_cast<double>(segment.size) / 1e6;
  progress.begin("writing", total, "MB");
  for (std::size_t t = 0; t < lowered_.payloads.size(); ++t) {
    if (Status status = write_tensor(t, pool, progress); !status)
      return std::move(status).error().at_tensor(lowered_.weight_names[t]);
  }
  progress.end();
  THIMBLE_TRY(write_tokenizer());
  segments_end_ = file_->size();
  return ok();
}

Status ThimbleWriter::write_tensor(std::size_t index, ThreadPool& pool, Progress& progress) {
  const std::uint64_t start = file_->size();
  THIMBLE_TRY(place_streams(index));
  THIMBLE_TRY(write_streams(index, pool, progress));
  return share_streams(index, start);
}

// A tensor's streams lie one after the other.
Status ThimbleWriter::place_streams(std::size_t index) {
  std::uint64_t end = file_->size();
  for (const std::int32_t segment : header_.program.tensors[index].segments)
    place(header_.program.segment(segment), end);
  return file_->resize(end);
}

// Each batch of pieces fills its part of every stream; one is written while the next is made.
Status ThimbleWriter::write_streams(std::size_t index, ThreadPool& pool, Progress& progress) {
  const lower::Payload& payload = *lowered_.payloads[index];
  const std::vector<std::uint64_t> piece = payload.piece_bytes();
  const auto& segments = header_.program.tensors[index].segments;
  std::vector<Hasher> hashers(piece.size());
  auto write_batch = [&](const Batch& batch, std::int64_t begin) -> Status {
    for (std::size_t s = 0; s < piece.size(); ++s) {
      hashers[s].update(batch.streams[s]);
      const std::uint64_t offset = header_.program.segment(segments[s]).offset;
      THIMBLE_TRY(
          file_->write_at(offset + static_cast<std::uint64_t>(begin) * piece[s], batch.streams[s]));
    }
    return ok();
  };
  const std::int64_t count = pieces_at_once(piece);
  std::future<Status> writing;
  Status failed = ok();
  for (std::int64_t begin = 0, turn = 0; begin < payload.pieces() && failed;
       begin += count, ++turn) {
    Batch& batch = batches_[static_cast<std::size_t>(turn % 2)];
    const std::int64_t stop = std::min(begin + count, payload.pieces());
    if (Status status = system::check_interrupt(); !status)
      failed = std::move(status).error().fix("run the same command again");
    batch.shape(static_cast<std::uint64_t>(stop - begin), piece);
    if (failed) failed = produce_batch(payload, begin, stop, batch.streams, pool);
    if (writing.valid()) {
      if (Status before = writing.get(); !before) failed = std::move(before);
    }
    if (failed) writing = std::async(std::launch::async, write_batch, std::cref(batch), begin);
    progress.advance(static_cast<double>(batch.bytes.size()) / 1e6);
  }
  if (writing.valid()) {
    if (Status last = writing.get(); !last) failed = std::move(last);
  }
  THIMBLE_TRY(std::move(failed));
  for (std::size_t s = 0; s < piece.size(); ++s)
    header_.program.segment(segments[s]).digest = hashers[s].finish();
  return ok();
}

// A tensor whose streams were all written before is dropped again, and its segments name the
// earlier ones.
Status ThimbleWriter::share_streams(std::size_t index, std::uint64_t start) {
  std::vector<const program::Segment*> earlier;
  const auto& segments = header_.program.tensors[index].segments;
  for (const std::int32_t segment : segments) {
    const program::Segment& own = header_.program.segment(segment);
    const auto found = by_digest_.find({own.digest.bytes, own.size});
    if (found != by_digest_.end()) earlier.push_back(&header_.program.segment(found->second));
  }
  const bool twin = earlier.size() == segments.size();
  for (std::size_t s = 0; s < segments.size(); ++s) {
    program::Segment& own = header_.program.segment(segments[s]);
    if (twin)
      own.offset = earlier[s]->offset;
    else
      by_digest_.try_emplace({own.digest.bytes, own.size}, segments[s]);
  }
  return twin ? file_->resize(start) : ok();
}

Status ThimbleWriter::write_tokenizer() {
  if (tokenizer_.empty()) return ok();
  THIMBLE_TRY(file_->pad_to(program::kSegmentAlignment));
  header_.tokenizer_segment = static_cast<std::int32_t>(header_.program.segments.size());
  header_.program.segments.push_back({file_->size(), tokenizer_.size(), digest_of(tokenizer_)});
  return file_->append(tokenizer_);
}

std::uint64_t ThimbleWriter::file_bytes_with(const program::Metadata& metadata) const {
  return bytes_of(header_, segments_end_, metadata);
}

Status ThimbleWriter::write_header(program::Metadata metadata) {
  std::sort(metadata.begin(), metadata.end());
  header_.metadata = std::move(metadata);
  const std::vector<std::byte> bytes = program::write_header(header_);
  THIMBLE_TRY(file_->resize(segments_end_));
  THIMBLE_TRY(file_->pad_to(program::kSegmentAlignment));
  program::Preamble preamble;
  preamble.header_offset = file_->size();
  preamble.header_size = bytes.size();
  preamble.header_digest = digest_of(bytes);
  THIMBLE_TRY(file_->append(bytes));
  preamble.file_size = file_bytes_ = file_->size();
  THIMBLE_TRY(file_->write_at(0, preamble.to_bytes()));
  return file_->flush();
}

Expected<program::Bundle> ThimbleWriter::open_partial(const program::Metadata& metadata) {
  THIMBLE_TRY(write_header(metadata));
  return program::open_thimble(file_->partial_path());
}

Status ThimbleWriter::finish(program::Metadata metadata) {
  THIMBLE_TRY(write_header(std::move(metadata)));
  return file_->commit();
}

}  // namespace thimble::formats
