#pragma once
// thimble bench of a graph that takes tensors: the time of a run, of loading, and what the
// multiplications are computed in.

#include <string>

#include "runtime/session.h"
#include "tools/thimble/command.h"
#include "tools/thimble/open.h"

namespace thimble::cli {

struct GraphBench {
  std::string file;
  std::string inputs;         // arrays by the graph's input names; empty: see made_inputs
  ir::DimRanges sizes;        // open ones of made inputs
  std::int64_t tokens = 128;  // of an encoder's made inputs
  std::int64_t repeat = 5;
  bool profile = false;
  double load_seconds = 0;  // what opening the file took
};

// Runs once to warm up, then `repeat` times on the same inputs.
Expected<int> bench_graph(const GraphBench& bench, const Opened& opened, Environment& environment);

// The instructions that took longest.
void print_profile(const runtime::Session& session);

}  // namespace thimble::cli
