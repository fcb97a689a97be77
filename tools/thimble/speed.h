#pragma once
// Speed and memory as gates know them.

#include <vector>

#include "eval/gate.h"
#include "eval/metrics.h"
#include "ir/dim_range.h"
#include "program/bundle.h"
#include "runtime/session.h"
#include "tools/thimble/command.h"

namespace thimble::cli {

// Is one of them on what only this machine tells?
bool ask_for_speed(const std::vector<eval::Gate>& gates);

struct SpeedRequest {
  runtime::SessionOptions session;  // the cache's types
  ir::DimRanges sizes, ranges;      // of made-up inputs; see MadeSizes
};

// Of a language model prefill_tokens_per_second (128 tokens), ttft_seconds and
// decode_tokens_per_second (64 tokens after them); of another, run_seconds on inputs that are made
// up; of both memory_bytes: weights, caches and activations. Times are medians of seven rounds,
// whose least and most are a 98 % interval of the median (order statistics; each round is as likely
// above it as below). Errors: an open size that nothing says.
Expected<std::vector<eval::Metric>> measure_speed(const program::Bundle& bundle,
                                                  const SpeedRequest& request,
                                                  Environment& environment);

}  // namespace thimble::cli
