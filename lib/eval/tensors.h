#pragma once
// Scores models that take tensors: the candidate alone on labelled inputs, or beside the model that
// it was made from.

#include <functional>
#include <vector>

#include "data/samples.h"
#include "eval/carry.h"
#include "eval/metrics.h"
#include "program/bundle.h"
#include "runtime/session.h"

namespace thimble::eval {

// What one call gave. The class that a model names is the largest element of its first output.
struct CallScore {
  bool labelled = false;
  bool right = false;  // the candidate names the label
  bool reference_right = false;
  bool same_top = false;         // both name the same
  double cosine = 0;             // of all outputs as one vector, candidate and reference
  double noise = 0, signal = 0;  // sums of (candidate - reference)^2 and reference^2
};

struct TensorScores {
  std::vector<CallScore> calls;
  bool has_labels = false;
  bool has_reference = false;
};

struct TensorScoreOptions {
  std::size_t max_calls = 0;  // 0: all
  runtime::SessionOptions candidate;
  std::vector<CarriedState> states;      // carried from call to call, by each model its own
  std::function<void(double)> on_calls;  // progress
};

// States of the programs start empty in each call, carried ones in each sequence. `reference` may
// be null; it runs in f32. Sums are in f64.
Expected<TensorScores> score_tensors(const program::Bundle& candidate,
                                     const program::Bundle* reference,
                                     const data::SampleSource& source, ThreadPool& pool,
                                     const TensorScoreOptions& options);

// With labels top1_accuracy; with a reference top1_agreement, cosine_mean, cosine_min and sqnr_db;
// with both top1_drop, the share of calls that the reference gets right less that of the candidate.
// 95 % intervals by paired bootstrap over calls, as for texts.
std::vector<Metric> summarize_tensors(const TensorScores& scores);

}  // namespace thimble::eval
