#pragma once
// Takes samples through a model block by block: what a block reads is at hand while it runs, as
// often as wanted, and is replaced by what it gives when the walk moves on.
//
// Nothing here computes: a block is a model of its own (ir::extract) on the same road to the
// runtime as the whole (lower, program, runtime), so a value has the same bits as in a run of the
// whole model. Memory: what one boundary holds for all samples (values that are the same in several
// samples are held once) and what one sample takes to run. A boundary of more than kBoundaryBytes,
// as images have behind their first convolutions, isn't held: the blocks behind it run from the one
// before it on. Those of layers that names number always are: they are many and alike.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "calibrate/blocks.h"
#include "ir/model.h"
#include "runtime/session.h"
#include "support/thread_pool.h"

namespace thimble::calibrate {

// A tensor that the calibration holds, shared between the samples that have the same.
struct Held {
  program::Type type = program::Type::kF32;
  std::vector<std::int64_t> dims;
  std::shared_ptr<const std::vector<std::byte>> bytes;
  runtime::TensorView view() const { return {type, dims, bytes->data()}; }
};

// One call of a model: its inputs by name (states are not among them: each call starts empty).
using Sample = std::map<std::string, Held>;

constexpr std::uint64_t kBoundaryBytes = std::uint64_t{1} << 30;

// Is this input of the model a state?
bool is_state(const ir::Model& model, const std::string& name);

struct RunOptions {
  bool move = false;               // go on to the next block with what this run gives
  bool float_activations = false;  // products in f32 on decoded weights
};

class Walk {
 public:
  // `model` must outlive the walk and keep its graph; its weights may change between runs, which
  // then see the new ones. An error when the samples lack an input of the model.
  static Expected<Walk> create(const ir::Model& model, std::span<const Sample> samples,
                               ThreadPool& pool, std::uint64_t boundary_bytes = kBoundaryBytes);

  std::size_t position() const { return position_; }  // of the block that runs next
  bool done() const { return position_ == blocks_.size(); }
  const Block& block() const { return blocks_[position_]; }

  // What a sample holds at the boundary, by value: what gives all that this block and later ones
  // read.
  const std::map<std::uint32_t, Held>& held(std::size_t sample) const { return values_[sample]; }
  std::size_t samples() const { return values_.size(); }

  // Does the block read or compute the value?
  bool at_hand(ir::ValueId value) const;
  const ir::Model& model() const { return *model_; }
  ThreadPool& pool() const { return *pool_; }

  // Called for each sample in order and each watched value in order; the view is valid during the
  // call.
  using Watcher = std::function<Status(std::size_t sample, std::size_t watched,
                                       const runtime::TensorView& value)>;
  // Runs the block over all samples. `watch` names values that the block reads or computes. An
  // interrupt (system::interrupted) ends it with kInterrupted.
  Status run(std::span<const ir::ValueId> watch, const Watcher& watcher, const RunOptions& options);

  // As Watcher, with what the value is in the other walk.
  using PairWatcher =
      std::function<Status(std::size_t sample, std::size_t watched,
                           const runtime::TensorView& value, const runtime::TensorView& other)>;
  // Runs the block, and beside it the same block of a walk over the same samples whose model has
  // the same graph: sample by sample, so neither's values are kept.
  Status run_beside(Walk& other, std::span<const ir::ValueId> watch, const PairWatcher& watcher,
                    const RunOptions& options, const RunOptions& others);

 private:
  using Values = std::map<std::uint32_t, Held>;  // by value
  class BlockRun;

  Walk(const ir::Model& model, ThreadPool& pool, std::uint64_t boundary_bytes)
      : model_(&model), pool_(&pool), boundary_bytes_(boundary_bytes) {}
  std::vector<ir::ValueId> entering() const;
  std::vector<ir::ValueId> leaving() const;
  void move_sample(std::size_t sample, const BlockRun& run);
  bool fits(const BlockRun& run) const;
  void go_on();
  Held hold(ir::ValueId value, const runtime::TensorView& view) const;

  const ir::Model* model_;
  ThreadPool* pool_;
  std::uint64_t boundary_bytes_;
  std::vector<Block> blocks_;
  std::size_t position_ = 0;
  std::size_t held_from_ = 0;   // the block that what is held enters
  bool holds_ = true;           // while a block moves on: is what it gives held?
  std::vector<Values> values_;  // by sample
};

}  // namespace thimble::calibrate
