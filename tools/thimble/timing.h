#pragma once
// How long models take on this machine: what `bench` prints, and what gates on speed look at.

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/generate.h"
#include "runtime/session.h"

namespace thimble::cli {

struct DecoderRounds {
  std::int64_t prompt = 128;  // seeded tokens of prefill
  std::int64_t tokens = 64;   // to decode after it, at least 2
  std::int64_t repeat = 5;
};

// In seconds, an entry for each round; one more before them warms up.
struct DecoderTimes {
  std::vector<double> prefill;  // of the whole prompt
  std::vector<double> first;    // until the first token's successor is known
  std::vector<double> decode;   // of a token after that
};
Expected<DecoderTimes> time_decoder(runtime::Decoder& decoder, const DecoderRounds& rounds);

struct GraphTimes {
  double first = 0;  // of the run that plans memory
  std::vector<double> runs;
};
// With `profile`, the session's profile is of all runs but the first.
Expected<GraphTimes> time_graph(runtime::Session& session,
                                std::span<const runtime::TensorView> inputs, std::int64_t repeat,
                                bool profile = false);

// Of at least one time each.
double median(std::vector<double> times);
double least(const std::vector<double>& times);

}  // namespace thimble::cli
