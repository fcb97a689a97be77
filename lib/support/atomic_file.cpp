#include "support/atomic_file.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <unistd.h>
#include <vector>

#include <sys/file.h>
#include <sys/stat.h>

#include "support/checked.h"

namespace thimble {
namespace {

constexpr std::size_t kBufferBytes = 256 * 1024;

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// What the rename would put a file in the place of: root would lose /dev/null, or the link
// /dev/stdout even where that leads to a file.
bool is_device_or_pipe(const std::string& path, const struct stat* info) {
  const bool device = path.starts_with("/dev/") && !path.starts_with("/dev/shm/");
  return device || (info != nullptr && !S_ISREG(info->st_mode));
}

// The file itself: a link stays one, and what it leads to is replaced, be it there yet or not.
Expected<std::string> behind_links(const std::string& path) {
  namespace fs = std::filesystem;
  constexpr int kMostLinks = 40;  // as in the kernel
  fs::path file(path);
  for (int links = 0; links < kMostLinks; ++links) {
    std::error_code none;
    const fs::path target = fs::read_symlink(file, none);
    if (none) return file.string();
    file = file.parent_path() / target;
  }
  return io_error("cannot follow the link", ELOOP).in(path);
}

Error being_written(const std::string& partial) {
  return io_error("another process is writing it", EBUSY)
      .in(partial)
      .fix("wait until that one is done, or write to another name");
}

// Removes what an earlier run left, unless its writer still lives: that one holds a lock, which the
// kernel drops when it dies.
Status remove_leftover(const std::string& partial) {
  const int fd = ::open(partial.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  const bool alive = fd >= 0 && ::flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  if (!alive) ::unlink(partial.c_str());
  if (fd >= 0) ::close(fd);
  return alive ? Status(being_written(partial)) : ok();
}

// Is `fd` still the file of that name, and not one that another process has removed meanwhile?
bool is_named(int fd, const std::string& path) {
  struct stat here {
  }, there{};
  return ::fstat(fd, &here) == 0 && ::lstat(path.c_str(), &there) == 0 &&
         here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

}  // namespace

struct AtomicFile::State {
  std::string path;
  std::string partial;
  int fd = -1;
  bool committed = false;
  std::uint64_t flushed = 0;      // bytes handed to the kernel; the buffer's place in the file
  std::vector<std::byte> buffer;  // what follows them

  Error failure(const char* what) const { return io_error(what, errno).in(partial); }

  Status write_all(std::uint64_t offset, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      // Linux writes at most 2 GiB at a time.
      const std::size_t part = std::min<std::size_t>(bytes.size(), std::size_t{1} << 30);
      const ssize_t n = ::pwrite(fd, bytes.data(), part, static_cast<off_t>(offset));
      if (n < 0) {
        if (errno == EINTR) continue;
        return failure("cannot write");
      }
      bytes = bytes.subspan(static_cast<std::size_t>(n));
      offset += static_cast<std::uint64_t>(n);
    }
    return ok();
  }

  Status drain() {
    THIMBLE_TRY(write_all(flushed, buffer));
    flushed += buffer.size();
    buffer.clear();
    return ok();
  }
};

Expected<std::unique_ptr<AtomicFile>> AtomicFile::create(const std::string& path) {
  // Found out now rather than by the rename after hours of work.
  struct stat info {};
  const bool exists = ::stat(path.c_str(), &info) == 0;
  if (exists && S_ISDIR(info.st_mode)) {
    return invalid_argument("is a folder, so no file can be written there").in(path);
  }
  if (is_device_or_pipe(path, exists ? &info : nullptr)) {
    return invalid_argument("is a device or a pipe, whose place a file would take")
        .in(path)
        .fix("name a file");
  }
  std::unique_ptr<AtomicFile> file(new AtomicFile);
  file->state_ = std::make_unique<State>();
  State& s = *file->state_;
  THIMBLE_ASSIGN(s.path, behind_links(path));
  const std::string place = folder_of(s.path);
  s.partial = s.path + ".partial";
  THIMBLE_TRY(remove_leftover(s.partial));
  s.fd = ::open(s.partial.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (s.fd < 0 && errno == EEXIST) return being_written(s.partial);
  if (s.fd < 0 && errno == ENOENT && ::access(place.c_str(), F_OK) != 0)
    return not_found("there is no folder '" + place + "' to write it in")
        .in(path)
        .fix("mkdir -p " + place);
  if (s.fd < 0) return s.failure("cannot create the file");
  // File systems without locks (ENOTSUP) go without.
  const bool taken = ::flock(s.fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  if (taken || !is_named(s.fd, s.partial)) {
    s.committed = true;  // the name is the other one's, not ours to remove
    return being_written(s.partial);
  }
  s.buffer.reserve(kBufferBytes);
  return file;
}

AtomicFile::~AtomicFile() {
  if (state_ == nullptr || state_->fd < 0) return;
  ::close(state_->fd);
  if (!state_->committed) ::unlink(state_->partial.c_str());
}

Status AtomicFile::append(std::span<const std::byte> bytes) {
  State& s = *state_;
  if (s.buffer.size() + bytes.size() > kBufferBytes) THIMBLE_TRY(s.drain());
  if (bytes.size() >= kBufferBytes) {
    THIMBLE_TRY(s.write_all(s.flushed, bytes));
    s.flushed += bytes.size();
    return ok();
  }
  s.buffer.insert(s.buffer.end(), bytes.begin(), bytes.end());
  return ok();
}

Status AtomicFile::append(std::string_view text) { return append(std::as_bytes(std::span(text))); }

Status AtomicFile::pad_to(std::uint64_t alignment) {
  static constexpr std::byte kZeros[4096] = {};
  std::uint64_t missing = round_up(size(), alignment) - size();
  while (missing > 0) {
    const std::uint64_t part = std::min<std::uint64_t>(missing, sizeof kZeros);
    THIMBLE_TRY(append(std::span(kZeros, part)));
    missing -= part;
  }
  return ok();
}

Status AtomicFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  THIMBLE_CHECK(range_inside(offset, bytes.size(), size()), "write_at outside what was appended");
  THIMBLE_TRY(state_->drain());
  return state_->write_all(offset, bytes);
}

Status AtomicFile::resize(std::uint64_t size) {
  State& s = *state_;
  THIMBLE_TRY(s.drain());
  if (::ftruncate(s.fd, static_cast<off_t>(size)) != 0)
    return s.failure("cannot change the file's size");
  s.flushed = size;
  return ok();
}

std::uint64_t AtomicFile::size() const { return state_->flushed + state_->buffer.size(); }
const std::string& AtomicFile::partial_path() const { return state_->partial; }
Status AtomicFile::flush() { return state_->drain(); }

Status AtomicFile::commit() {
  State& s = *state_;
  THIMBLE_CHECK(!s.committed, "committed twice");
  THIMBLE_TRY(s.drain());
  if (::fsync(s.fd) != 0) return s.failure("cannot sync the file");
  if (::rename(s.partial.c_str(), s.path.c_str()) != 0) {
    return io_error("cannot give the file its final name", errno).in(s.path);
  }
  s.committed = true;
  // The name is durable once its folder is. Some file systems refuse to sync a folder; the file
  // itself is complete either way, so that is no reason to fail.
  const int folder = ::open(folder_of(s.path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    ::fsync(folder);
    ::close(folder);
  }
  return ok();
}

Status write_file(const std::string& path, std::string_view text) {
  THIMBLE_ASSIGN(const auto file, AtomicFile::create(path));
  THIMBLE_TRY(file->append(text));
  return file->commit();
}

Status check_writable(const std::string& path) {
  auto file = AtomicFile::create(path);
  return file ? ok() : Status(std::move(file).error());
}

}  // namespace thimble
