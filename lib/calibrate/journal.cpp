#include "calibrate/journal.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <unistd.h>

#include <sys/file.h>
#include <sys/stat.h>

#include "support/atomic_file.h"
#include "support/checked.h"
#include "support/hash.h"
#include "support/mapped_file.h"

namespace thimble::calibrate {
namespace {

namespace fs = std::filesystem;

// A file: magic, digest of the rest, header, key, figures, then the streams row-major. Numbers are
// little-endian; a journal is taken up on the machine that wrote it.
constexpr std::array<char, 8> kMagic = {'T', 'H', 'M', 'W', 'O', 'R', 'K', '1'};
constexpr std::size_t kDigestEnd = kMagic.size() + sizeof(Digest::bytes);
constexpr const char* kSuffix = ".rows";
constexpr std::size_t kStreams = 6;

struct Header {
  std::uint64_t key_bytes = 0;
  std::uint64_t figures = 0;
  std::int64_t rows = 0;
  std::array<std::uint64_t, kStreams> stream_bytes{};  // scales, minima, codes, points, subs
};

template <class T>
std::span<const std::byte> raw(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

// f32 streams first: they stay aligned.
std::array<std::span<const std::byte>, kStreams> streams_of(const ir::Rows& rows) {
  return {raw(rows.scales),      raw(rows.minima),     raw(rows.codes),
          raw(rows.zero_points), raw(rows.sub_scales), raw(rows.sub_minima)};
}

std::uint64_t padded(std::uint64_t bytes) { return round_up<std::uint64_t>(bytes, 8); }

std::string weight_key(const std::string& key, const ir::Weight& weight) {
  std::string text = key + "\n" + weight.name + "\n" + weight.encoding.to_string() + "\n";
  for (const std::int64_t dim : weight.dims) text += std::to_string(dim) + " ";
  return text;
}

class JournalRows : public ir::WeightSource {
 public:
  JournalRows(std::shared_ptr<const MappedFile> file, const Header& header, std::uint64_t start,
              std::optional<double> error)
      : file_(std::move(file)), header_(header), error_(error) {
    for (std::size_t s = 0; s < kStreams; ++s) {
      starts_[s] = start;
      start += header.stream_bytes[s];
    }
  }

  Expected<ir::Rows> read(std::int64_t begin, std::int64_t end) const override {
    ir::Rows out;
    out.count = end - begin;
    take(0, begin, end, out.scales);
    take(1, begin, end, out.minima);
    take(2, begin, end, out.codes);
    take(3, begin, end, out.zero_points);
    take(4, begin, end, out.sub_scales);
    take(5, begin, end, out.sub_minima);
    return out;
  }

  void release(std::int64_t begin, std::int64_t end) const override {
    for (std::size_t s = 0; s < kStreams; ++s)
      file_->release(starts_[s] + row_bytes(s) * static_cast<std::uint64_t>(begin),
                     row_bytes(s) * static_cast<std::uint64_t>(end - begin));
  }

  std::optional<double> relative_error() const override { return error_; }
  std::string describe() const override { return "journal " + file_->path(); }

 private:
  std::uint64_t row_bytes(std::size_t stream) const {
    return header_.rows == 0
               ? 0
               : header_.stream_bytes[stream] / static_cast<std::uint64_t>(header_.rows);
  }

  template <class T>
  void take(std::size_t stream, std::int64_t begin, std::int64_t end, std::vector<T>& out) const {
    const std::uint64_t size = row_bytes(stream) * static_cast<std::uint64_t>(end - begin);
    out.resize(size / sizeof(T));
    if (out.empty()) return;
    const std::uint64_t at =
        starts_[stream] + row_bytes(stream) * static_cast<std::uint64_t>(begin);
    std::memcpy(out.data(), file_->bytes().data() + at, size);
  }

  std::shared_ptr<const MappedFile> file_;
  Header header_;
  std::array<std::uint64_t, kStreams> starts_{};
  std::optional<double> error_;
};

// Do the parts that a header tells of make up the file?
bool fits(const Header& header, std::uint64_t file_bytes) {
  std::optional<std::uint64_t> total = kDigestEnd + sizeof(header);
  const auto add = [&](std::optional<std::uint64_t> part) {
    total = total && part ? checked_add(*total, *part) : std::nullopt;
  };
  add(checked_round_up<std::uint64_t>(header.key_bytes, 8));
  add(checked_mul<std::uint64_t>(header.figures, sizeof(double)));
  for (const std::uint64_t bytes : header.stream_bytes) add(bytes);
  return header.rows >= 0 && total == file_bytes;
}

// Nothing when the file isn't whole or isn't of this key.
std::optional<Finished> open_rows(const std::string& path, const std::string& key) {
  const auto opened = MappedFile::open(path);
  if (!opened) return std::nullopt;
  const std::span<const std::byte> bytes = (*opened)->bytes();
  Header header;
  if (bytes.size() < kDigestEnd + sizeof(header) ||
      std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0)
    return std::nullopt;
  const Digest digest = digest_of(bytes.subspan(kDigestEnd));
  if (std::memcmp(bytes.data() + kMagic.size(), digest.bytes.data(), digest.bytes.size()) != 0)
    return std::nullopt;
  std::memcpy(&header, bytes.data() + kDigestEnd, sizeof(header));
  std::uint64_t at = kDigestEnd + sizeof(header);
  if (!fits(header, bytes.size()) || header.key_bytes != key.size()) return std::nullopt;
  if (std::memcmp(bytes.data() + at, key.data(), key.size()) != 0) return std::nullopt;
  at += padded(key.size());
  Finished finished;
  finished.figures.resize(header.figures);
  if (header.figures > 0)
    std::memcpy(finished.figures.data(), bytes.data() + at, header.figures * sizeof(double));
  at += header.figures * sizeof(double);
  std::optional<double> error;
  if (!finished.figures.empty()) error = finished.figures.front();
  finished.source = std::make_shared<JournalRows>(*opened, header, at, error);
  (*opened)->release(0, bytes.size());
  return finished;
}

bool is_ours(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.ends_with(kSuffix) || name.ends_with(".partial") || name == "journal.json";
}

// Has the folder gone while it was being locked, or become another?
bool is_gone(int fd, const std::string& folder) {
  struct stat here = {};
  struct stat there = {};
  return ::fstat(fd, &here) != 0 || ::stat(folder.c_str(), &there) != 0 ||
         here.st_dev != there.st_dev || here.st_ino != there.st_ino;
}

}  // namespace

Journal::~Journal() {
  if (lock_ >= 0) ::close(lock_);
}

// The run that had it removes the folder when it is done: then it is made once more.
Expected<bool> Journal::lock() {
  for (int tries = 0; tries < 10; ++tries) {
    std::error_code error;
    fs::create_directories(folder_, error);
    if (error) return io_error("cannot create the folder", error.value()).in(folder_);
    lock_ = ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock_ < 0 && errno == ENOENT) continue;
    if (lock_ < 0) return io_error("cannot open the folder", errno).in(folder_);
    if (::flock(lock_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) return false;
    if (!is_gone(lock_, folder_)) return true;
    ::close(lock_);
    lock_ = -1;
  }
  return false;
}

Expected<std::unique_ptr<Journal>> Journal::open(const std::string& folder,
                                                 const std::string& fingerprint,
                                                 const std::string& program, Use use) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return io_error("cannot create the folder", error.value()).in(folder);
  std::unique_ptr<Journal> journal(new Journal(folder));
  if (use == Use::kAlone) {
    THIMBLE_ASSIGN(const bool alone, journal->lock());
    if (!alone)
      return io_error("another process is at work on it", EBUSY)
          .in(folder)
          .fix("wait until that one is done, or write to another name");
  }
  const std::string path = folder + "/journal.json";
  const std::string by = "\"program\": \"" + program + "\"";
  const std::string wanted =
      "{\"schema\": 2, \"fingerprint\": \"" + fingerprint + "\", " + by + "}\n";
  std::string found;
  if (fs::is_regular_file(path, error)) {
    THIMBLE_ASSIGN(const auto file, MappedFile::open(path));
    const auto bytes = file->bytes();
    found.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  if (found == wanted) return journal;
  THIMBLE_ASSIGN(const std::size_t results, journal->clear());
  if (results > 0) {
    const bool same_program = found.find(by) != std::string::npos;
    journal->dropped_ =
        same_program ? "another model, recipe or data" : "another version of thimble";
  }
  THIMBLE_TRY(write_file(path, wanted));
  return journal;
}

std::string Journal::path_of(const std::string& key) const {
  return folder_ + "/" + digest_of(key).hex() + kSuffix;
}

std::optional<Finished> Journal::find(const std::string& key, const ir::Weight& weight) const {
  const std::string full = weight_key(key, weight);
  return open_rows(path_of(full), full);
}

Expected<Finished> Journal::add(const std::string& key, const ir::Weight& weight,
                                const ir::Rows& rows, std::vector<double> figures) const {
  THIMBLE_CHECK(rows.count == weight.rows() && !weight.encoding.per_tensor,
                "a journal holds every row, with scales of its own");
  return write(weight_key(key, weight), rows, figures);
}

std::optional<std::vector<double>> Journal::find_figures(const std::string& key) const {
  std::optional<Finished> finished = open_rows(path_of(key), key);
  if (!finished) return std::nullopt;
  return std::move(finished->figures);
}

Status Journal::add_figures(const std::string& key, std::vector<double> figures) const {
  THIMBLE_ASSIGN(const Finished finished, write(key, ir::Rows{}, figures));
  return ok();
}

Expected<Finished> Journal::write(const std::string& key, const ir::Rows& rows,
                                  const std::vector<double>& figures) const {
  Header header{key.size(), figures.size(), rows.count, {}};
  const auto streams = streams_of(rows);
  for (std::size_t s = 0; s < kStreams; ++s) header.stream_bytes[s] = streams[s].size();
  const std::string key_bytes = key + std::string(padded(key.size()) - key.size(), '\0');
  std::vector<std::span<const std::byte>> parts = {
      std::as_bytes(std::span(&header, 1)), std::as_bytes(std::span(key_bytes)), raw(figures)};
  parts.insert(parts.end(), streams.begin(), streams.end());
  Hasher hasher;
  for (const auto& part : parts) hasher.update(part);
  const Digest digest = hasher.finish();
  const std::string path = path_of(key);
  THIMBLE_ASSIGN(const auto file, AtomicFile::create(path));
  THIMBLE_TRY(file->append(std::as_bytes(std::span(kMagic))));
  THIMBLE_TRY(file->append(std::as_bytes(std::span(digest.bytes))));
  for (const auto& part : parts) THIMBLE_TRY(file->append(part));
  THIMBLE_TRY(file->commit());
  std::optional<Finished> finished = open_rows(path, key);
  if (!finished) return Error(ErrorCode::kIo, "what was written cannot be read back").in(path);
  return *std::move(finished);
}

Expected<std::size_t> Journal::clear() const {
  std::error_code error;
  std::size_t results = 0;
  for (const auto& entry : fs::directory_iterator(folder_, error)) {
    if (entry.path().extension() == kSuffix) ++results;
    if (is_ours(entry.path()) && !fs::remove(entry.path(), error) && error)
      return io_error("cannot remove the file", error.value()).in(entry.path().string());
  }
  if (error) return io_error("cannot read the folder", error.value()).in(folder_);
  return results;
}

Status Journal::discard(const std::string& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) return ok();
  Journal journal(folder);
  THIMBLE_ASSIGN(const bool alone, journal.lock());
  return alone ? journal.remove() : ok();
}

Status Journal::remove() const {
  THIMBLE_ASSIGN([[maybe_unused]] const std::size_t results, clear());
  std::error_code error;
  if (fs::is_empty(folder_, error)) fs::remove(folder_, error);
  return error ? Status(io_error("cannot remove the folder", error.value()).in(folder_)) : ok();
}

}  // namespace thimble::calibrate
