#include "support/mapped_file.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

#include <sys/mman.h>
#include <sys/stat.h>

#include "support/checked.h"

namespace thimble {

Expected<std::shared_ptr<const MappedFile>> MappedFile::open(const std::string& path) {
  // O_NONBLOCK: opening a FIFO that nobody writes to would wait forever; it is refused below.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return io_error("cannot open the file", errno).in(path);
  struct stat info {};
  if (::fstat(fd, &info) != 0) {
    const int code = errno;
    ::close(fd);
    return io_error("cannot look at the file", code).in(path);
  }
  if (!S_ISREG(info.st_mode)) {
    ::close(fd);
    return invalid_argument(S_ISDIR(info.st_mode) ? "is a folder, not a file"
                                                  : "is not a regular file")
        .in(path);
  }
  std::shared_ptr<MappedFile> file(new MappedFile);
  file->path_ = path;
  file->size_ = static_cast<std::size_t>(info.st_size);
  if (file->size_ > 0) {
    void* address = ::mmap(nullptr, file->size_, PROT_READ, MAP_PRIVATE, fd, 0);
    if (address == MAP_FAILED) {
      const int code = errno;
      ::close(fd);
      file->size_ = 0;
      return io_error("cannot map the file", code).in(path);
    }
    file->data_ = static_cast<const std::byte*>(address);
  }
  ::close(fd);
  // What a clone of a repository has in a large file's place.
  if (file->text().starts_with("version https://git-lfs.github.com/spec/")) {
    return invalid_file("is a pointer of Git LFS, and not the file that it stands for")
        .in(path)
        .fix("fetch the file: git lfs pull");
  }
  return std::shared_ptr<const MappedFile>(std::move(file));
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::release(std::uint64_t offset, std::uint64_t size) const {
  if (offset >= size_ || size == 0) return;
  const std::uint64_t page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const std::uint64_t begin = round_up(offset, page);
  const std::uint64_t reached = offset + std::min<std::uint64_t>(size, size_ - offset);
  // The file's last page is wholly inside when the range reaches the end.
  const std::uint64_t end = reached == size_ ? round_up(reached, page) : reached / page * page;
  if (begin < end) ::madvise(const_cast<std::byte*>(data_ + begin), end - begin, MADV_DONTNEED);
}

}  // namespace thimble
