#include "support/thread_pool.h"

#include <atomic>
#include <chrono>
#include <numeric>
#include <thread>
#include <vector>

#include "unit/catch.h"

using thimble::ThreadPool;

TEST_CASE("every index once, in chunks of the grain") {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    CHECK(pool.threads() == threads);
    for (const std::size_t count : {0, 1, 2, 7, 64, 1000, 4097}) {
      for (const std::size_t grain : {0, 1, 3, 64, 5000}) {
        std::vector<std::atomic<int>> seen(count);
        std::atomic<bool> aligned = true;
        pool.parallel_for(count, grain, [&](std::size_t begin, std::size_t end) {
          const std::size_t g = grain == 0 ? 1 : grain;
          if (begin >= end || begin % g != 0 || (end % g != 0 && end != count)) aligned = false;
          for (std::size_t i = begin; i < end; ++i) ++seen[i];
        });
        CHECK(aligned);
        bool once = true;
        for (const auto& n : seen) once = once && n == 1;
        CHECK(once);
      }
    }
  }
}

TEST_CASE("loops in quick succession don't mix") {
  ThreadPool pool(4);
  std::vector<std::uint64_t> values(97, 0);
  std::uint64_t expected = 0;
  for (std::uint64_t round = 1; round <= 3000; ++round) {
    pool.parallel_for(values.size(), 1, [&values, round](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) values[i] += round;
    });
    expected += round;
    // Now and then let the workers fall asleep in between.
    if (round % 500 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  for (const std::uint64_t value : values) REQUIRE(value == expected);
}

TEST_CASE("a const callable and a RangeFunction are taken as they are") {
  ThreadPool pool(2);
  std::atomic<std::size_t> total = 0;
  const auto add = [&](std::size_t begin, std::size_t end) { total += end - begin; };
  pool.parallel_for(100, 1, add);
  thimble::RangeFunction borrowed(add);
  pool.parallel_for(100, 1, borrowed);
  CHECK(total == 200);
}

TEST_CASE("the caller finishes alone what a stuck worker doesn't take") {
  // One worker holds its chunk until the caller has run every other one.
  ThreadPool pool(2);
  const auto caller = std::this_thread::get_id();
  std::atomic<int> by_caller = 0;
  std::atomic<bool> worker_in = false;
  constexpr int kChunks = 8;  // 2 threads, 4 chunks each
  pool.parallel_for(kChunks, 1, [&](std::size_t, std::size_t) {
    if (std::this_thread::get_id() == caller) {
      // The first chunk waits until the worker has taken one.
      while (!worker_in) std::this_thread::yield();
      ++by_caller;
    } else {
      worker_in = true;
      while (by_caller < kChunks - 1) std::this_thread::yield();
    }
  });
  CHECK(by_caller == kChunks - 1);
}

TEST_CASE("works with more threads than cores and other load") {
  std::atomic<bool> stop = false;
  std::vector<std::thread> load;
  for (int i = 0; i < 3; ++i) {
    load.emplace_back([&] {
      while (!stop) {
      }
    });
  }
  {
    ThreadPool pool(6);
    std::vector<int> values(1000, 0);
    for (int round = 0; round < 200; ++round) {
      pool.parallel_for(values.size(), 10, [&](std::size_t begin, std::size_t end) {
        for (std::size_t i = begin; i < end; ++i) ++values[i];
      });
    }
    CHECK(std::accumulate(values.begin(), values.end(), 0) == 200 * 1000);
  }
  stop = true;
  for (std::thread& t : load) t.join();
}

TEST_CASE("pools come and go") {
  for (int i = 0; i < 50; ++i) {
    ThreadPool pool(3);
    if (i % 2 == 0) {
      std::atomic<int> n = 0;
      pool.parallel_for(12, 1, [&](std::size_t, std::size_t) { ++n; });
      CHECK(n == 12);
    }
  }
}

TEST_CASE("default threads") {
  CHECK(ThreadPool::default_threads() >= 1);
  CHECK(ThreadPool::default_threads() <= static_cast<int>(std::thread::hardware_concurrency()));
}
