#include "support/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <pthread.h>
#include <signal.h>
#include <vector>

#include "support/checked.h"

namespace thimble {
namespace {

constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kChunksPerThread = 4;
// Long enough to bridge the serial work between two loops and another thread's last chunk, short
// enough not to matter to whoever else wants the core. With 20 µs threads slept through the tails
// of small networks' loops, and waking them took as long: squeezenet took 4.3 ms on two cores, and
// takes 4.1; 500 µs gave no more.
constexpr std::chrono::microseconds kSpin{200};

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

// Waits until `word` differs from `old`: spins a little, then sleeps.
std::uint32_t wait_for_change(const std::atomic<std::uint32_t>& word, std::uint32_t old) {
  const auto deadline = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 16; ++i) {
      const std::uint32_t now = word.load(std::memory_order_acquire);
      if (now != old) return now;
      relax();
    }
  } while (std::chrono::steady_clock::now() < deadline);
  word.wait(old, std::memory_order_acquire);
  return word.load(std::memory_order_acquire);
}

}  // namespace

// A loop is published by storing `unclaimed`, and a chunk belongs to whoever takes the count down
// by one. The fields of the loop are read only after that: they can't change before the chunk's
// owner has reported it through `unfinished`. So a worker that lost its core anywhere outside a
// chunk, even since an earlier loop, delays nobody and cannot claim what isn't there.
struct ThreadPool::State {
  // Of the current loop, written by the caller while no chunk is out.
  const RangeFunction* function = nullptr;
  std::size_t count = 0;
  std::size_t chunk = 0;
  std::uint32_t chunks = 0;
  std::atomic<bool> stopping{false};  // a worker that wakes late may look at it while it is set

  alignas(kCacheLine) std::atomic<std::uint32_t> unclaimed{0};
  alignas(kCacheLine) std::atomic<std::uint32_t> unfinished{0};
  alignas(kCacheLine) std::atomic<std::uint32_t> generation{
      0};  // counts the loops; workers sleep on it
  std::vector<pthread_t> workers;

  // Runs chunks until none is unclaimed; returns how many it ran.
  std::uint32_t run_chunks() {
    std::uint32_t ran = 0;
    std::uint32_t left = unclaimed.load(std::memory_order_acquire);
    while (left > 0) {
      if (!unclaimed.compare_exchange_weak(left, left - 1, std::memory_order_acq_rel,
                                           std::memory_order_acquire)) {
        continue;
      }
      const std::size_t begin = (chunks - left) * chunk;
      (*function)(begin, std::min(count, begin + chunk));
      ++ran;
      --left;
    }
    return ran;
  }

  void work() {
    std::uint32_t seen = 0;
    for (;;) {
      seen = wait_for_change(generation, seen);
      if (stopping.load(std::memory_order_relaxed)) return;
      const std::uint32_t ran = run_chunks();
      if (ran > 0 && unfinished.fetch_sub(ran, std::memory_order_acq_rel) == ran) {
        unfinished.notify_one();
      }
    }
  }
};

ThreadPool::ThreadPool(int threads) : state_(std::make_unique<State>()) {
  // Signals go to the thread that asked for the work.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  for (int i = 1; i < threads; ++i) {
    pthread_t worker;
    const auto start = [](void* state) -> void* {
      static_cast<State*>(state)->work();
      return nullptr;
    };
    // A machine that refuses a thread gets the work done by fewer.
    if (pthread_create(&worker, nullptr, start, state_.get()) != 0) break;
    state_->workers.push_back(worker);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

ThreadPool::~ThreadPool() {
  state_->stopping.store(true, std::memory_order_relaxed);
  state_->generation.fetch_add(1, std::memory_order_release);
  state_->generation.notify_all();
  for (const pthread_t worker : state_->workers) pthread_join(worker, nullptr);
}

int ThreadPool::threads() const { return static_cast<int>(state_->workers.size()) + 1; }

void ThreadPool::parallel_for(std::size_t count, std::size_t grain, RangeFunction f) {
  State& s = *state_;
  if (count == 0) return;
  const std::size_t wanted = static_cast<std::size_t>(threads()) * kChunksPerThread;
  const std::size_t chunk = round_up(ceil_div(count, wanted), std::max<std::size_t>(grain, 1));
  const std::size_t chunks = ceil_div(count, chunk);
  if (chunks == 1 || s.workers.empty()) {
    f(0, count);
    return;
  }
  s.function = &f;
  s.count = count;
  s.chunk = chunk;
  s.chunks = static_cast<std::uint32_t>(chunks);
  s.unfinished.store(s.chunks, std::memory_order_relaxed);
  s.unclaimed.store(s.chunks, std::memory_order_release);
  s.generation.fetch_add(1, std::memory_order_release);
  s.generation.notify_all();

  const std::uint32_t ran = s.run_chunks();
  std::uint32_t left = s.unfinished.fetch_sub(ran, std::memory_order_acq_rel) - ran;
  while (left > 0) left = wait_for_change(s.unfinished, left);
}

}  // namespace thimble
