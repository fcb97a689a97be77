#pragma once
// Progress of long work: phase, rate and ETA. On a terminal one line that is redrawn at most 10
// times a second and cut to its width; elsewhere a plain line at most every few seconds. Goes to
// stderr.

#include <memory>
#include <string_view>

namespace thimble {

class Progress {
 public:
  enum class Style { kAuto, kQuiet };  // kAuto looks at stderr
  explicit Progress(Style style = Style::kAuto);
  ~Progress();

  // Starts a phase of `total` units (0: unknown). `unit` is what the rate counts: "tokens", "MB".
  void begin(std::string_view phase, double total, std::string_view unit);
  void advance(double units);
  void end();  // ends the phase and clears its line
  // A line of its own for the user (a warning, a note), above the progress line.
  void message(std::string_view line);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace thimble
