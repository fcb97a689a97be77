#include "support/mapped_file.h"

#include <cstdio>
#include <cstring>
#include <unistd.h>
#include <vector>

#include <sys/stat.h>

#include "support/system.h"
#include "unit/catch.h"
#include "unit/support/scratch_folder.h"

using namespace thimble;

namespace {

void write_file(const std::string& path, const std::vector<char>& bytes) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  REQUIRE(file != nullptr);
  if (!bytes.empty()) REQUIRE(std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size());
  std::fclose(file);
}

}  // namespace

TEST_CASE("maps what the file holds") {
  ScratchFolder folder;
  const std::string path = folder.path("data");
  std::vector<char> bytes(100001);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7);
  write_file(path, bytes);
  const auto file = MappedFile::open(path);
  REQUIRE(file);
  REQUIRE((*file)->size() == bytes.size());
  CHECK((*file)->path() == path);
  CHECK(std::memcmp((*file)->bytes().data(), bytes.data(), bytes.size()) == 0);
  // Ranges beyond the end, empty or overflowing are hints without effect.
  (*file)->release(100000, ~0ull);
  (*file)->release(200000, 5);
  (*file)->release(0, bytes.size());
  CHECK(std::memcmp((*file)->bytes().data(), bytes.data(), bytes.size()) == 0);
}

TEST_CASE("released pages no longer count") {
  ScratchFolder folder;
  const std::string path = folder.path("large");
  constexpr std::size_t kSize = 32 << 20;
  write_file(path, std::vector<char>(kSize, 1));
  const auto file = MappedFile::open(path);
  REQUIRE(file);
  long sum = 0;
  for (std::size_t i = 0; i < kSize; i += 4096) sum += static_cast<long>((*file)->bytes()[i]);
  CHECK(sum == kSize / 4096);
  const std::uint64_t before = system::current_rss_bytes();
  (*file)->release(0, kSize);
  const std::uint64_t after = system::current_rss_bytes();
  CHECK(before - after > kSize / 2);
}

TEST_CASE("empty files, and what is no file") {
  ScratchFolder folder;
  write_file(folder.path("empty"), {});
  const auto empty = MappedFile::open(folder.path("empty"));
  REQUIRE(empty);
  CHECK((*empty)->bytes().empty());

  const auto missing = MappedFile::open(folder.path("missing"));
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == ErrorCode::kNotFound);
  CHECK(missing.error().place.file == folder.path("missing"));

  const auto directory = MappedFile::open(folder.path(""));
  REQUIRE_FALSE(directory);
  CHECK(directory.error().message == "is a folder, not a file");

  REQUIRE(::mkfifo(folder.path("pipe").c_str(), 0600) == 0);
  const auto pipe = MappedFile::open(folder.path("pipe"));  // must not wait for a writer
  REQUIRE_FALSE(pipe);
  CHECK(pipe.error().message == "is not a regular file");
}
