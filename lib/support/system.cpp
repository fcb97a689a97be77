#include "support/system.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <limits>
#include <sched.h>
#include <string>
#include <unistd.h>

#include <sys/ioctl.h>

#include "support/thread_pool.h"

namespace thimble {
namespace {

std::string read_small_file(const std::string& path) {
  std::string text;
  std::FILE* file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return text;
  char buffer[4096];
  std::size_t n;
  while ((n = std::fread(buffer, 1, sizeof buffer, file)) > 0) text.append(buffer, n);
  std::fclose(file);
  return text;
}

// The folder of our group in a cgroup hierarchy, from a line "ID:CONTROLLERS:PATH" of
// /proc/self/cgroup: version 2 has ID 0 and no controllers. Empty when there is none.
std::string cgroup_path(const std::string& controller) {
  const std::string text = read_small_file("/proc/self/cgroup");
  std::size_t position = 0;
  while (position < text.size()) {
    std::size_t end = text.find('\n', position);
    if (end == std::string::npos) end = text.size();
    const std::string line = text.substr(position, end - position);
    position = end + 1;
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const bool mine = controller.empty()
                          ? controllers == ",,"
                          : controllers.find("," + controller + ",") != std::string::npos;
    if (mine) return line.substr(second + 1);
  }
  return {};
}

// Calls visit(folder) for our group's folder under `mount` and each folder above it up to the
// mount: a limit anywhere on that way binds us. In a container the path may name what isn't mounted
// there.
template <class Visit>
void for_each_cgroup(const std::string& mount, const std::string& controller, Visit visit) {
  std::string path = cgroup_path(controller);
  while (!path.empty() && path != "/") {
    visit(mount + path);
    path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  }
  visit(mount);
}

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

std::uint64_t parse_limit(const std::string& text) {
  if (text.empty() || text[0] < '0' || text[0] > '9') return kNoLimit;  // "max", or no such file
  return std::strtoull(text.c_str(), nullptr, 10);
}

// CPUs that the quota allows, as a fraction; infinite when there is none.
double cpu_quota() {
  double quota = std::numeric_limits<double>::infinity();
  const auto take = [&](double used, double period) {
    if (used > 0 && period > 0) quota = std::min(quota, used / period);
  };
  for_each_cgroup("/sys/fs/cgroup", "", [&](const std::string& folder) {
    const std::string text =
        read_small_file(folder + "/cpu.max");  // "200000 100000" or "max 100000"
    double used = 0;
    double period = 0;
    if (std::sscanf(text.c_str(), "%lf %lf", &used, &period) == 2) take(used, period);
  });
  for_each_cgroup("/sys/fs/cgroup/cpu", "cpu", [&](const std::string& folder) {
    take(std::atof(read_small_file(folder + "/cpu.cfs_quota_us").c_str()),
         std::atof(read_small_file(folder + "/cpu.cfs_period_us").c_str()));
  });
  return quota;
}

// The value of a line like "VmHWM:     1234 kB" of /proc/self/status, in bytes.
std::uint64_t status_bytes(const char* key) {
  const std::string text = read_small_file("/proc/self/status");
  const std::size_t at = text.find(key);
  if (at == std::string::npos) return 0;
  return std::strtoull(text.c_str() + at + std::strlen(key), nullptr, 10) * 1024;
}

volatile std::sig_atomic_t caught_signal = 0;
volatile double caught_at = 0;

double seconds_now() {  // fit for a signal's handler
  struct timespec now {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// timeout(1) and shells signal a process and then its group: what comes right behind the first
// signal is the same one.
extern "C" void on_interrupt(int signal) {
  constexpr double kSame = 0.25;
  if (caught_signal == 0) {
    caught_at = seconds_now();
    caught_signal = signal;
  } else if (seconds_now() - caught_at > kSame) {  // the user means it
    std::signal(signal, SIG_DFL);
    ::raise(signal);  // delivered when this handler returns
  }
}

}  // namespace

int ThreadPool::default_threads() {
  int allowed = 1;
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) == 0) {
    allowed = CPU_COUNT(&set);
  } else {
    allowed = static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));  // more CPUs than the set holds
  }
  const double quota = cpu_quota();
  if (quota < allowed) allowed = static_cast<int>(quota);
  return std::max(allowed, 1);
}

namespace system {

std::uint64_t memory_limit() {
  const auto pages = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES));
  std::uint64_t limit = pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  for_each_cgroup("/sys/fs/cgroup", "", [&](const std::string& folder) {
    limit = std::min(limit, parse_limit(read_small_file(folder + "/memory.max")));
  });
  for_each_cgroup("/sys/fs/cgroup/memory", "memory", [&](const std::string& folder) {
    limit = std::min(limit, parse_limit(read_small_file(folder + "/memory.limit_in_bytes")));
  });
  return limit;
}

std::uint64_t peak_rss_bytes() { return status_bytes("VmHWM:"); }
std::uint64_t current_rss_bytes() { return status_bytes("VmRSS:"); }

void reset_peak_rss() {
  std::FILE* file = std::fopen("/proc/self/clear_refs", "we");
  if (file == nullptr) return;
  std::fputs("5", file);  // proc(5): resets the peak resident set size
  std::fclose(file);
}

int terminal_width(int fd) {
  struct winsize size {};
  if (::ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

void install_interrupt_handlers() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return caught_signal != 0; }
Status check_interrupt() {
  return interrupted() ? Status(Error(ErrorCode::kInterrupted, "interrupted")) : ok();
}
int interrupt_signal() { return caught_signal; }

}  // namespace system
}  // namespace thimble
