#include "support/progress.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <unistd.h>

#include "support/system.h"
#include "support/text.h"

namespace thimble {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kRedraw{100};
constexpr std::chrono::seconds kPlainLine{5};

std::string amount(double value) {
  return value < 1000 && value != static_cast<double>(static_cast<long>(value))
             ? format_fixed(value, 1)
             : format_count(static_cast<std::uint64_t>(value + 0.5));
}

}  // namespace

struct Progress::State {
  bool quiet = false;
  bool terminal = false;
  std::mutex mutex;
  bool running = false;
  bool drawn = false;  // a line stands on the terminal
  std::string phase;
  std::string unit;
  double total = 0;
  double done = 0;
  Clock::time_point start;
  Clock::time_point shown;

  // quantize: 12k of 65k tokens (18%), 1.2k tokens/s, 42s left
  std::string line() const {
    std::string text = phase + ": " + amount(done);
    if (total > 0) text += " of " + amount(total);
    text += " " + unit;
    if (total > 0) text += " (" + format_fixed(100 * std::min(done / total, 1.0), 0) + "%)";
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    if (seconds < 0.5 || done <= 0) return text;
    const double rate = done / seconds;
    text += ", " + amount(rate) + " " + unit + "/s";
    if (total > done) text += ", " + format_duration((total - done) / rate) + " left";
    return text;
  }

  void erase() {
    if (drawn) std::fputs("\r\x1b[K", stderr);
    drawn = false;
  }

  void show() {
    shown = Clock::now();
    std::string text = line();
    if (!terminal) {
      std::fprintf(stderr, "%s\n", text.c_str());
      return;
    }
    const auto width = static_cast<std::size_t>(system::terminal_width(STDERR_FILENO));
    if (text.size() >= width) text.resize(width - 1);
    std::fprintf(stderr, "\r\x1b[K%s", text.c_str());
    std::fflush(stderr);
    drawn = true;
  }
};

Progress::Progress(Style style) : state_(std::make_unique<State>()) {
  state_->quiet = style == Style::kQuiet;
  state_->terminal = ::isatty(STDERR_FILENO) == 1;
}

Progress::~Progress() { end(); }

void Progress::begin(std::string_view phase, double total, std::string_view unit) {
  end();
  const std::lock_guard lock(state_->mutex);
  state_->phase = phase;
  state_->unit = unit;
  state_->total = total;
  state_->done = 0;
  state_->start = state_->shown = Clock::now();
  state_->running = true;
}

void Progress::advance(double units) {
  const std::lock_guard lock(state_->mutex);
  state_->done += units;
  if (state_->quiet || !state_->running) return;
  const auto since = Clock::now() - state_->shown;
  if (state_->terminal ? since >= kRedraw : since >= kPlainLine) state_->show();
}

void Progress::end() {
  const std::lock_guard lock(state_->mutex);
  state_->erase();
  state_->running = false;
}

void Progress::message(std::string_view line) {
  const std::lock_guard lock(state_->mutex);
  if (state_->quiet) return;
  state_->erase();
  std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
}

}  // namespace thimble
