#include "formats/thimble/writer.h"

#include <algorithm>
#include <mutex>

#include "support/checked.h"
#include "support/system.h"

namespace thimble::formats {
namespace {

// Bytes of streams that are held at once, over all threads: enough to keep threads and disk busy.
constexpr std::uint64_t kBatchBytes = 16u << 20;

Status produce_batch(const lower::Payload& payload, std::int64_t begin, std::int64_t end, const std::vector<std::span<std::byte>>& streams, ThreadPool& pool) {
  const std::vector<std::uint64_t> bytes = payload.piece_bytes();
  std::mutex mutex;
  Status first = ok();
  pool.parallel_for(static_cast<std::size_t>(end - begin), 1, [&](std::size_t from, std::size_t to) {
    std::vector<std::span<std::byte>> part;
    for (std::size_t s = 0; s < streams.size(); ++s) part.push_back(streams[s].subspan(from * bytes[s], (to - from) * bytes[s]));
    Status status = payload.produce(begin + static_cast<std::int64_t>(from), begin + static_cast<std::int64_t>(to), part);
    if (status) return;
    const std::lock_guard lock(mutex);
    if (first) first = std::move(status);
  });
  payload.release(begin, end);
  return first;
}

}  // namespace

Expected<std::unique_ptr<ThimbleWriter>> ThimbleWriter::create(const std::string& path, lower::Lowered lowered, program::Bundle about) {
  std::unique_ptr<ThimbleWriter> writer(new ThimbleWriter);
  THIMBLE_ASSIGN(writer->file_, AtomicFile::create(path));
  writer->header_.program = std::move(lowered.program);
  writer->lowered_.payloads = std::move(lowered.payloads);
  writer->lowered_.weight_names = std::move(lowered.weight_names);
  writer->tokenizer_.assign(about.tokenizer.begin(), about.tokenizer.end());
  writer->header_.chat_template = std::move(about.chat_template);
  writer->header_.generation = std::move(about.generation);
  writer->header_.parameters = about.parameters;
  THIMBLE_TRY(writer->file_->append(program::Preamble{}.to_bytes()));
  return writer;
}

Status ThimbleWriter::write_payloads(ThreadPool& pool, Progress& progress) {
  double total = 0;
  for (const program::Segment& segment : header_.program.segments) total += static_cast<double>(segment.size) / 1e6;
  progress.begin("writing", total, "MB");
  for (std::size_t t = 0; t < lowered_.payloads.size(); ++t) {
    if (Status status = write_tensor(t, pool, progress); !status) return std::move(status).error().at_tensor(lowered_.weight_names[t]);
  }
  progress.end();
  THIMBLE_TRY(write_tokenizer());
  segments_end_ = file_->size();
  return ok();
}

// A tensor's streams lie one after the other; each batch of pieces fills its part of every stream.
Status ThimbleWriter::write_tensor(std::size_t index, ThreadPool& pool, Progress& progress) {
  const lower::Payload& payload = *lowered_.payloads[index];
  const std::vector<std::uint64_t> piece = payload.piece_bytes();
  const auto& segments = header_.program.tensors[index].segments;
  std::uint64_t per_piece = 0;
  std::uint64_t end = file_->size();
  for (std::size_t s = 0; s < piece.size(); ++s) {
    program::Segment& segment = header_.program.segments[static_cast<std::size_t>(segments[s])];
    segment.offset = round_up(end, program::kSegmentAlignment);
    end = segment.offset + segment.size;
    per_piece += piece[s];
  }
  THIMBLE_TRY(file_->resize(end));
  std::vector<Hasher> hashers(piece.size());
  const std::int64_t batch = std::max<std::int64_t>(1, static_cast<std::int64_t>(kBatchBytes / std::max<std::uint64_t>(per_piece, 1)));
  std::vector<std::byte> buffer;
  for (std::int64_t begin = 0; begin < payload.pieces(); begin += batch) {
    if (system::interrupted()) return Error(ErrorCode::kInterrupted, "interrupted").fix("run the same command again");
    const std::int64_t stop = std::min(begin + batch, payload.pieces());
    const auto count = static_cast<std::uint64_t>(stop - begin);
    buffer.resize(count * per_piece);
    std::vector<std::span<std::byte>> streams;
    std::size_t at = 0;
    for (const std::uint64_t bytes : piece) {
      streams.push_back(std::span(buffer).subspan(at, count * bytes));
      at += count * bytes;
    }
    THIMBLE_TRY(produce_batch(payload, begin, stop, streams, pool));
    for (std::size_t s = 0; s < piece.size(); ++s) {
      hashers[s].update(streams[s]);
      const std::uint64_t offset = header_.program.segments[static_cast<std::size_t>(segments[s])].offset;
      THIMBLE_TRY(file_->write_at(offset + static_cast<std::uint64_t>(begin) * piece[s], streams[s]));
    }
    progress.advance(static_cast<double>(buffer.size()) / 1e6);
  }
  for (std::size_t s = 0; s < piece.size(); ++s) header_.program.segments[static_cast<std::size_t>(segments[s])].digest = hashers[s].finish();
  return ok();
}

Status ThimbleWriter::write_tokenizer() {
  if (tokenizer_.empty()) return ok();
  THIMBLE_TRY(file_->pad_to(program::kSegmentAlignment));
  header_.tokenizer_segment = static_cast<std::int32_t>(header_.program.segments.size());
  header_.program.segments.push_back({file_->size(), tokenizer_.size(), digest_of(tokenizer_)});
  return file_->append(tokenizer_);
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
