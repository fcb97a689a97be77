#include "tools/thimble/timing.h"

#include <algorithm>
#include <functional>

#include "support/rng.h"
#include "support/stopwatch.h"
#include "support/system.h"

namespace thimble::cli {
namespace {

double seconds_of(const std::function<void()>& work) {
  const Stopwatch stopwatch;
  work();
  return stopwatch.seconds();
}

}  // namespace

Expected<DecoderTimes> time_decoder(runtime::Decoder& decoder, const DecoderRounds& rounds) {
  Rng rng(1, "bench");
  std::vector<std::int32_t> prompt;
  for (std::int64_t i = 0; i < rounds.prompt; ++i) {
    prompt.push_back(
        static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(decoder.vocabulary()))));
  }
  DecoderTimes times;
  for (std::int64_t round = -1; round < rounds.repeat; ++round) {
    THIMBLE_TRY(system::check_interrupt());
    decoder.reset();
    Status status = ok();
    auto feed = [&](std::span<const std::int32_t> tokens) {
      if (auto logits = decoder.feed(tokens); !logits) status = std::move(logits).error();
    };
    const double prefill = seconds_of([&] { feed(prompt); });
    const std::int32_t token = prompt.front();
    const double first = seconds_of([&] { feed(std::span(&token, 1)); });
    const double decode = seconds_of([&] {
      for (std::int64_t n = 1; n < rounds.tokens; ++n) feed(std::span(&token, 1));
    });
    THIMBLE_TRY(std::move(status));
    if (round < 0) continue;
    times.prefill.push_back(prefill);
    times.first.push_back(prefill + first);
    times.decode.push_back(decode /
                           static_cast<double>(std::max<std::int64_t>(rounds.tokens - 1, 1)));
  }
  return times;
}

Expected<GraphTimes> time_graph(runtime::Session& session,
                                std::span<const runtime::TensorView> inputs, std::int64_t repeat,
                                bool profile) {
  GraphTimes times;
  for (std::int64_t round = -1; round < repeat; ++round) {
    THIMBLE_TRY(system::check_interrupt());
    if (round == 0 && profile) session.enable_profile();
    session.reset();
    const Stopwatch stopwatch;
    THIMBLE_TRY(session.run(inputs));
    (round < 0 ? times.first : times.runs.emplace_back()) = stopwatch.seconds();
  }
  return times;
}

double median(std::vector<double> times) {
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

double least(const std::vector<double>& times) {
  return *std::min_element(times.begin(), times.end());
}

}  // namespace thimble::cli
