#include "support/system.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include <vector>

#include <sys/ioctl.h>
#include <sys/wait.h>

#include "support/progress.h"
#include "unit/catch.h"

namespace system_under_test = thimble::system;

TEST_CASE("memory figures are plausible") {
  CHECK(system_under_test::memory_limit() > (64u << 20));
  CHECK(system_under_test::current_rss_bytes() > (1u << 20));
  CHECK(system_under_test::peak_rss_bytes() >= system_under_test::current_rss_bytes() / 2);
  const std::uint64_t before = system_under_test::current_rss_bytes();
  const std::vector<char> block(64 << 20, 1);
  CHECK(block[12345] == 1);
  CHECK(system_under_test::peak_rss_bytes() >= before + (60u << 20));
}

TEST_CASE("the first signal sets a flag, the second kills") {
  for (const int signal : {SIGINT, SIGTERM}) {
    const pid_t child = ::fork();
    if (child == 0) {
      system_under_test::install_interrupt_handlers();
      if (system_under_test::interrupted()) ::_exit(1);
      ::raise(signal);
      if (!system_under_test::interrupted() || system_under_test::interrupt_signal() != signal)
        ::_exit(2);
      ::raise(signal);  // right behind the first: the same one once more
      ::usleep(300'000);
      ::raise(signal == SIGINT ? SIGTERM : SIGINT);
      ::_exit(3);  // never reached
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == (signal == SIGINT ? SIGTERM : SIGINT));
  }
}

TEST_CASE("a width for everything") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  CHECK(system_under_test::terminal_width(ends[0]) == 80);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_CASE("progress prints plain lines where there is no terminal, and nothing when quiet") {
  const auto printed_by = [](thimble::Progress::Style style) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
      ::dup2(ends[1], STDERR_FILENO);
      {
        thimble::Progress progress(style);
        progress.begin("quantize", 100, "tensors");
        for (int i = 0; i < 100; ++i) progress.advance(1);  // too quick for a line
        progress.message("note: one");
        progress.end();
      }
      ::_exit(0);
    }
    ::close(ends[1]);
    std::string text;
    char buffer[256];
    for (ssize_t n; (n = ::read(ends[0], buffer, sizeof buffer)) > 0;) {
      text.append(buffer, static_cast<std::size_t>(n));
    }
    ::close(ends[0]);
    ::waitpid(child, nullptr, 0);
    return text;
  };
  CHECK(printed_by(thimble::Progress::Style::kAuto) == "note: one\n");
  CHECK(printed_by(thimble::Progress::Style::kQuiet).empty());
}

TEST_CASE("on a terminal the line is redrawn, cut to the width and cleared at the end") {
  const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
  if (terminal < 0) {
    WARN("skipped: this machine has no pseudo-terminals");
    return;
  }
  REQUIRE(::grantpt(terminal) == 0);
  REQUIRE(::unlockpt(terminal) == 0);
  const int other_end = ::open(::ptsname(terminal), O_RDWR | O_NOCTTY);
  REQUIRE(other_end >= 0);
  const winsize size{24, 30, 0, 0};
  REQUIRE(::ioctl(other_end, TIOCSWINSZ, &size) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(other_end, STDERR_FILENO);
    {
      thimble::Progress progress;
      progress.begin("a phase with a rather long name", 4, "tensors");
      for (int i = 0; i < 4; ++i) {
        ::usleep(110000);
        progress.advance(1);
      }
      progress.message("note");
    }
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
  // The kernel hands over what the child wrote in parts, some of them after the child has ended.
  std::string text;
  pollfd more{terminal, POLLIN, 0};
  while (!text.ends_with("note\r\n") && ::poll(&more, 1, 10000) == 1) {
    char part[4096];
    const ssize_t n = ::read(terminal, part, sizeof part);
    if (n <= 0) break;
    text.append(part, static_cast<std::size_t>(n));
  }
  ::close(other_end);
  ::close(terminal);
  const std::string redraw = "\r\x1b[K";
  const std::string line = redraw + "a phase with a rather long na";  // 29 columns: 30 would wrap
  // On a busy machine an update may come too soon after a late one, and is left out.
  std::string_view rest = text;
  int lines = 0;
  for (; rest.starts_with(line); ++lines) rest.remove_prefix(line.size());
  CHECK(lines >= 2);
  CHECK(lines <= 4);
  CHECK(rest == redraw + "note\r\n");
}
