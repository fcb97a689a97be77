#pragma once
// A fixed set of workers for data-parallel loops. Work is split over outputs and never over a
// reduction, so a result doesn't depend on the number of threads. Waiting is a bounded spin and
// then sleep: with one core taken by another process, two threads are not slower than one, because
// chunks are claimed one at a time by whoever is running.

#include <concepts>
#include <cstddef>
#include <memory>
#include <type_traits>

namespace thimble {

// A borrowed callable: void(begin, end). Valid only during the call it is passed to.
class RangeFunction {
 public:
  template <class F>
  requires(!std::same_as<std::remove_const_t<F>, RangeFunction>)
      RangeFunction(F& f)  // NOLINT: implicit by design
      : object_(const_cast<std::remove_const_t<F>*>(&f)),
        call_([](void* o, std::size_t b, std::size_t e) { (*static_cast<F*>(o))(b, e); }) {}
  void operator()(std::size_t begin, std::size_t end) const { call_(object_, begin, end); }

 private:
  void* object_;
  void (*call_)(void*, std::size_t, std::size_t);
};

class ThreadPool {
 public:
  // The caller is one of the threads; threads >= 1. Where the machine refuses a thread there are
  // fewer.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;

  // Calls f(begin, end) over disjoint chunks that cover [0, count); each chunk's length is a
  // multiple of `grain` (>= 1), the last one excepted. Returns when all are done. Not reentrant: f
  // must not call parallel_for on the same pool.
  void parallel_for(std::size_t count, std::size_t grain, RangeFunction f);
  template <class F>
  void parallel_for(std::size_t count, std::size_t grain, F&& f) {
    parallel_for(count, grain, RangeFunction(f));
  }

  // The same one at a time: calls f(i) for each i in [0, count).
  template <class F>
  void parallel_each(std::size_t count, std::size_t grain, F&& f) {
    parallel_for(count, grain, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) f(i);
    });
  }

  // The smaller of CPU affinity and cgroup quota, at least 1.
  static int default_threads();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace thimble
