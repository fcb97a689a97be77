#include "support/atomic_file.h"

#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <signal.h>
#include <unistd.h>
#include <vector>

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "unit/catch.h"
#include "unit/support/scratch_folder.h"

using namespace thimble;

namespace {

std::string contents(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

}  // namespace

TEST_CASE("a committed file holds what was written") {
  ScratchFolder folder;
  const std::string path = folder.path("out");
  auto file = AtomicFile::create(path);
  REQUIRE(file);
  AtomicFile& out = **file;
  CHECK(out.append("head"));
  CHECK(out.pad_to(64));
  CHECK(out.size() == 64);
  CHECK(out.pad_to(64));
  CHECK(out.size() == 64);
  const std::vector<std::byte> large(1 << 20, std::byte{7});
  CHECK(out.append(large));
  CHECK(out.append("tail"));
  CHECK(out.write_at(2, std::as_bytes(std::span(std::string_view("AD")))));
  CHECK(out.append("cut off"));
  CHECK(out.resize(64 + large.size() + 4));
  CHECK(out.append("!"));
  CHECK(out.flush());
  CHECK(contents(out.partial_path()).size() == out.size());
  CHECK_FALSE(exists(path));
  CHECK(out.commit());
  file->reset();

  const std::string text = contents(path);
  CHECK_FALSE(exists(path + ".partial"));
  REQUIRE(text.size() == 64 + large.size() + 5);
  CHECK(text.substr(0, 5) == std::string("heAD\0", 5));
  CHECK(text[64] == 7);
  CHECK(text.substr(text.size() - 5) == "tail!");
}

TEST_CASE("without commit there is no file, and an old one stays") {
  ScratchFolder folder;
  const std::string path = folder.path("out");
  std::ofstream(path) << "old";
  {
    auto file = AtomicFile::create(path);
    REQUIRE(file);
    CHECK((*file)->append("new"));
    CHECK((*file)->flush());
  }
  CHECK(contents(path) == "old");
  CHECK_FALSE(exists(path + ".partial"));
}

TEST_CASE("a killed writer leaves the final name alone") {
  ScratchFolder folder;
  const std::string path = folder.path("out");
  std::ofstream(path) << "old";
  for (const int delay_microseconds : {0, 200, 1000, 5000}) {
    int ready[2];
    REQUIRE(::pipe(ready) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
      auto file = AtomicFile::create(path);
      const std::vector<std::byte> block(300000, std::byte{1});
      (void)!::write(ready[1], "x", 1);
      for (;;) {
        if (!(*file)->append(block)) ::_exit(1);
        if ((*file)->size() > (200u << 20)) ::_exit(2);
      }
    }
    char byte;
    REQUIRE(::read(ready[0], &byte, 1) == 1);
    ::usleep(static_cast<useconds_t>(delay_microseconds));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    ::close(ready[0]);
    ::close(ready[1]);
    CHECK(WIFSIGNALED(status));
    CHECK(contents(path) == "old");
    CHECK(exists(path + ".partial"));
  }
  // The leftover doesn't hinder the next run, nor get into its file.
  auto file = AtomicFile::create(path);
  REQUIRE(file);
  CHECK((*file)->append("new"));
  CHECK((*file)->commit());
  CHECK(contents(path) == "new");
  CHECK_FALSE(exists(path + ".partial"));
}

TEST_CASE("two writers of one file don't disturb each other") {
  ScratchFolder folder;
  const std::string path = folder.path("out");
  auto first = AtomicFile::create(path);
  REQUIRE(first);
  CHECK((*first)->append("first"));
  const auto second = AtomicFile::create(path);
  REQUIRE_FALSE(second);
  CHECK(second.error().code == ErrorCode::kIo);
  CHECK(second.error().message.find("another process is writing it") != std::string::npos);
  CHECK((*first)->commit());
  CHECK(contents(path) == "first");
  CHECK(AtomicFile::create(path));  // the lock went with the commit
}

TEST_CASE("a leftover that is a link isn't followed") {
  ScratchFolder folder;
  const std::string victim = folder.path("victim");
  std::ofstream(victim) << "precious";
  REQUIRE(::symlink(victim.c_str(), folder.path("out.partial").c_str()) == 0);
  auto file = AtomicFile::create(folder.path("out"));
  REQUIRE(file);
  CHECK((*file)->append("x"));
  CHECK((*file)->commit());
  CHECK(contents(victim) == "precious");
}

TEST_CASE("a file is written behind links, which stay") {
  ScratchFolder folder;
  std::filesystem::create_directory(folder.path("far"));
  REQUIRE(::symlink("far/link", folder.path("out").c_str()) == 0);
  REQUIRE(::symlink("file", folder.path("far/link").c_str()) == 0);
  for (const std::string text : {"new", "newer"}) {  // a file that isn't there yet, and one that is
    auto file = AtomicFile::create(folder.path("out"));
    REQUIRE(file);
    CHECK((*file)->partial_path() == folder.path("far/file.partial"));
    CHECK((*file)->append(text));
    CHECK((*file)->commit());
    CHECK(contents(folder.path("far/file")) == text);
    CHECK(std::filesystem::is_symlink(folder.path("out")));
    CHECK(std::filesystem::is_symlink(folder.path("far/link")));
  }
  REQUIRE(::symlink("loop", folder.path("loop").c_str()) == 0);
  CHECK_FALSE(check_writable(folder.path("loop")));
  REQUIRE(::symlink("gone/file", folder.path("lost").c_str()) == 0);
  const auto lost = AtomicFile::create(folder.path("lost"));
  REQUIRE_FALSE(lost);
  CHECK(lost.error().remedy == "mkdir -p " + folder.path("gone"));
}

TEST_CASE("places that can't be written are refused at once") {
  ScratchFolder folder;
  const auto nowhere = AtomicFile::create(folder.path("no/such/out"));
  REQUIRE_FALSE(nowhere);
  CHECK(nowhere.error().code == ErrorCode::kNotFound);
  CHECK(nowhere.error().remedy == "mkdir -p " + folder.path("no/such"));
  CHECK_FALSE(check_writable(folder.path("no/such/out")));
  CHECK(check_writable(folder.path("out")));
  CHECK_FALSE(exists(folder.path("out.partial")));
  REQUIRE(::mkdir(folder.path("taken").c_str(), 0700) == 0);
  const auto directory = AtomicFile::create(folder.path("taken"));
  REQUIRE_FALSE(directory);
  CHECK(directory.error().code == ErrorCode::kInvalidArgument);
}

TEST_CASE("no file takes the place of a pipe or a device") {
  ScratchFolder folder;
  const std::string pipe = folder.path("pipe");
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  for (const std::string& path : {pipe, std::string("/dev/stdout"), std::string("/dev/null")}) {
    const auto file = AtomicFile::create(path);
    REQUIRE_FALSE(file);
    CHECK(file.error().message == "is a device or a pipe, whose place a file would take");
    CHECK_FALSE(exists(path + ".partial"));
  }
}

TEST_CASE("a full disk is an error that says so") {
  // A limit on the file's size stands in for the disk; in a child, since it can't be undone.
  ScratchFolder folder;
  const std::string path = folder.path("out");
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1 << 20, 1 << 20};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    auto file = AtomicFile::create(path);
    const std::vector<std::byte> block(3 << 20, std::byte{1});
    const Status status = (*file)->append(block);
    const bool right = !status && status.error().code == ErrorCode::kIo &&
                       status.error().place.file == path + ".partial";
    file->reset();
    ::_exit(right && !exists(path) && !exists(path + ".partial") ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}
