#pragma once
// Executes a Bundle: plans memory for a binding of its symbols, runs its region, keeps its states.
//
// Rules of this folder: std, support, kernels and program only; no exceptions; no allocation while
// a program runs except where a slot is dynamic; a row's result doesn't depend on how many rows are
// computed with it, nor on threads or ISA.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "program/bundle.h"
#include "support/thread_pool.h"

namespace thimble::runtime {

// A dense row-major tensor in memory of the caller or of the session.
struct TensorView {
  program::Type type = program::Type::kF32;
  std::vector<std::int64_t> dims;
  const void* data = nullptr;
  std::int64_t count() const;
};

struct SessionOptions {
  std::int64_t max_context = 0;  // positions that the caches are made for; 0: the program's
  std::int64_t max_tokens = 0;   // that one run feeds to caches of windows; 0: kMostTokens
  program::CacheType cache = program::CacheType::kF32;
  std::optional<program::CacheType> value_cache;  // of values; none: as the keys'
  bool cache_from_program = true;                 // take the program's types instead
  // Every product in f32 on decoded weights (kl_weights), but on codes.
  bool float_activations = false;
  // Of one value whose size is found as it is computed: a file may ask for any. 0: the machine's
  // memory.
  std::uint64_t max_value_bytes = 0;

  // What a reference runs in: f32 arithmetic and caches, whatever the program says.
  static SessionOptions exact() { return {.cache_from_program = false, .float_activations = true}; }
};

struct MemoryPlan {           // bytes
  std::uint64_t weights = 0;  // mapped or held
  std::uint64_t caches = 0;
  std::uint64_t activations = 0;  // the largest arena planned so far
  std::uint64_t found = 0;        // of values whose sizes are found as they are computed
  std::uint64_t scratch = 0;      // of the instructions that compute those
  std::uint64_t total() const { return weights + caches + activations + found + scratch; }
};

// Sees each named value as it is computed: (slot index, value). Used by calibration and blame.
using Observer = std::function<void(std::int32_t, const TensorView&)>;

class Session {
 public:
  // The bundle and the pool must outlive the session. Errors: an operator that this build lacks,
  // sizes that can't be.
  static Expected<std::unique_ptr<Session>> create(const program::Bundle& bundle, ThreadPool& pool,
                                                   const SessionOptions& options = {});
  ~Session();

  // Runs the entry region. `inputs` are by position of the entry region's inputs that are not
  // states; symbols are bound from their dims (`past` from the caches' length). Views in
  // `outputs()` stay valid until the next run. A wrong type, rank or size is an error that names
  // the input. An interrupt of the process (system::interrupted) ends it, too, between two
  // instructions.
  Status run(std::span<const TensorView> inputs);
  const std::vector<TensorView>& outputs() const;

  // Ends the run under way, or the next one, with kInterrupted; the states stay as they were before
  // it. Any thread or signal handler may call it while another runs the session: a file may say a
  // loop without end.
  void stop();

  std::int64_t cached() const;              // positions in the caches
  std::int64_t capacity() const;            // that there can be
  Status truncate(std::int64_t positions);  // forget the positions from here on
  void reset();                             // forget all states

  void set_observer(Observer observer);
  const MemoryPlan& memory() const;
  const program::Bundle& bundle() const;

  struct Profile {
    std::string_view op;
    std::string_view name;
    std::uint64_t calls;
    double seconds;
  };
  void enable_profile();
  std::vector<Profile> profile() const;

 private:
  struct State;
  explicit Session(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace thimble::runtime
