#include "tools/thimble/speed.h"

#include <algorithm>

#include "eval/arrays.h"
#include "runtime/generate.h"
#include "tools/thimble/bench_inputs.h"
#include "tools/thimble/timing.h"

namespace thimble::cli {
namespace {

constexpr std::int64_t kRounds = 7;

eval::Interval interval_of(const std::vector<double>& times) {
  const auto [low, high] = std::minmax_element(times.begin(), times.end());
  return {median(times), *low, *high};
}

// Of rounds that take so long for `count` of something.
eval::Interval rate_of(double count, const std::vector<double>& times) {
  const eval::Interval time = interval_of(times);
  return {count / time.value, count / time.high, count / time.low};
}

eval::Metric memory_of(const runtime::Session& session) {
  return {"memory_bytes", eval::Interval::exact(static_cast<double>(session.memory().total()))};
}

Expected<std::vector<eval::Metric>> speed_of_decoder(const program::Bundle& bundle,
                                                     runtime::SessionOptions options,
                                                     ThreadPool& pool) {
  const DecoderRounds rounds{.repeat = kRounds};
  options.max_context = rounds.prompt + rounds.tokens;
  THIMBLE_ASSIGN(const auto decoder, runtime::Decoder::create(bundle, pool, options));
  THIMBLE_ASSIGN(const DecoderTimes times, time_decoder(*decoder, rounds));
  const auto prompt = static_cast<double>(rounds.prompt);
  return std::vector<eval::Metric>{{"prefill_tokens_per_second", rate_of(prompt, times.prefill)},
                                   {"decode_tokens_per_second", rate_of(1, times.decode)},
                                   {"ttft_seconds", interval_of(times.first)},
                                   memory_of(decoder->session())};
}

Expected<std::vector<eval::Metric>> speed_of_graph(const program::Bundle& bundle,
                                                   const SpeedRequest& request, ThreadPool& pool) {
  auto arrays = made_inputs(bundle, {request.sizes, request.ranges});
  if (!arrays) return std::move(arrays).error();
  THIMBLE_ASSIGN(const auto views, eval::bind_inputs(bundle.program, *arrays));
  THIMBLE_ASSIGN(const auto session, runtime::Session::create(bundle, pool));
  THIMBLE_ASSIGN(const GraphTimes times, time_graph(*session, views, kRounds));
  return std::vector<eval::Metric>{{"run_seconds", interval_of(times.runs)}, memory_of(*session)};
}

}  // namespace

bool ask_for_speed(const std::vector<eval::Gate>& gates) {
  return std::any_of(gates.begin(), gates.end(), [](const eval::Gate& gate) {
    return eval::metric_info(gate.metric).of_machine;
  });
}

Expected<std::vector<eval::Metric>> measure_speed(const program::Bundle& bundle,
                                                  const SpeedRequest& request,
                                                  Environment& environment) {
  if (bundle.program.task == program::Task::kGenerate)
    return speed_of_decoder(bundle, request.session, environment.pool);
  return speed_of_graph(bundle, request, environment.pool);
}

}  // namespace thimble::cli
