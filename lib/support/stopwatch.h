#pragma once
// How long something takes.

#include <chrono>

namespace thimble {

class Stopwatch {  // starts when it is made
 public:
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

}  // namespace thimble
