// thimble bench: prefill and decode speed, time to the first token, memory; of graphs that take
// tensors the time of a run (bench_graph.cpp).

#include <cstdio>

#include <nlohmann/json.hpp>

#include "report/json.h"
#include "report/table.h"
#include "runtime/generate.h"
#include "support/rng.h"
#include "support/stopwatch.h"
#include "support/system.h"
#include "support/text.h"
#include "tools/thimble/bench_graph.h"
#include "tools/thimble/generation.h"
#include "tools/thimble/open.h"

namespace thimble::cli {
namespace {

struct BenchChoices {
  std::string file, cache, inputs;
  std::int64_t prompt = 128;
  std::int64_t tokens = 64;
  std::int64_t repeat = 5;
  bool profile = false;
};

double seconds_of(const std::function<void()>& work) {
  const Stopwatch stopwatch;
  work();
  return stopwatch.seconds();
}

// In seconds; of a round each but the first.
struct Times {
  double load = 0;
  std::vector<double> prefill, first, decode;  // `decode` of a token
};

Status measure(const BenchChoices& choices, runtime::Decoder& decoder, Times& times) {
  Rng rng(1, "bench");
  std::vector<std::int32_t> prompt;
  for (std::int64_t i = 0; i < choices.prompt; ++i) {
    prompt.push_back(
        static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(decoder.vocabulary()))));
  }
  for (std::int64_t round = -1; round < choices.repeat; ++round) {  // the first one warms up
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
      for (std::int64_t n = 1; n < choices.tokens; ++n) feed(std::span(&token, 1));
    });
    THIMBLE_TRY(std::move(status));
    if (round < 0) continue;
    times.prefill.push_back(prefill);
    times.first.push_back(prefill + first);
    times.decode.push_back(decode /
                           static_cast<double>(std::max<std::int64_t>(choices.tokens - 1, 1)));
  }
  return ok();
}

report::Json to_json(const BenchChoices& choices, const Times& times,
                     const runtime::MemoryPlan& memory, int threads) {
  const auto prompt = static_cast<double>(choices.prompt);
  report::Json out = report::document("bench");
  out["file"] = choices.file;
  out["threads"] = threads;
  out["prompt_tokens"] = choices.prompt;
  out["prefill_tokens_per_second"] = prompt / median(times.prefill);
  out["prefill_tokens_per_second_best"] = prompt / least(times.prefill);
  out["decode_tokens_per_second"] = 1 / median(times.decode);
  out["decode_tokens_per_second_best"] = 1 / least(times.decode);
  out["ttft_seconds"] = median(times.first);
  out["load_seconds"] = times.load;
  out["memory"] = {
      {"weights", memory.weights}, {"caches", memory.caches}, {"activations", memory.activations}};
  out["peak_rss_bytes"] = system::peak_rss_bytes();
  return out;
}

void print(const BenchChoices& choices, const Times& times, const runtime::MemoryPlan& memory,
           int threads) {
  const auto prompt = static_cast<double>(choices.prompt);
  report::Table table({{"measure"}, {"median", true}, {"best", true}});
  table.add({"prefill, tokens/s (" + std::to_string(choices.prompt) + ")",
             format_fixed(prompt / median(times.prefill), 1),
             format_fixed(prompt / least(times.prefill), 1)});
  table.add({"decode, tokens/s", format_fixed(1 / median(times.decode), 1),
             format_fixed(1 / least(times.decode), 1)});
  table.add({"time to first token, ms", format_fixed(median(times.first) * 1e3, 1),
             format_fixed(least(times.first) * 1e3, 1)});
  table.add({"load, ms", format_fixed(times.load * 1e3, 1), ""});
  std::printf("%s, %d threads\n", choices.file.c_str(), threads);
  table.print();
  std::printf("memory: weights %s, caches %s, activations %s; peak RSS %s\n",
              format_bytes(memory.weights).c_str(), format_bytes(memory.caches).c_str(),
              format_bytes(memory.activations).c_str(),
              format_bytes(system::peak_rss_bytes()).c_str());
}

// A .thimble keeps open sizes open: --dim says those of the inputs that are made up for it.
Expected<ir::DimRanges> made_sizes(const BenchChoices& choices, const Opened& opened,
                                   const Globals& globals) {
  if (opened.model) return ir::DimRanges();
  THIMBLE_ASSIGN(ir::DimRanges sizes, dims_of(globals));
  if (!sizes.empty() && !choices.inputs.empty())
    return Error(ErrorCode::kUsage, "the arrays of --inputs have their own sizes")
        .fix("leave --dim out");
  return sizes;
}

Expected<int> run_bench(const BenchChoices& choices, Environment& environment) {
  Times times;
  const Stopwatch loading;
  THIMBLE_ASSIGN(const Opened opened, open_whatever_dims(choices.file, environment));
  times.load = loading.seconds();
  THIMBLE_ASSIGN(const ir::DimRanges sizes, made_sizes(choices, opened, environment.globals));
  if (opened.bundle.program.task != program::Task::kGenerate)
    return bench_graph({choices.file, choices.inputs, sizes, choices.prompt, choices.repeat,
                        choices.profile, times.load},
                       opened, environment);
  if (!environment.globals.dims.empty())
    return Error(ErrorCode::kUsage, "a language model has no sizes to say")
        .fix("leave --dim out; --prompt says the number of tokens");
  runtime::SessionOptions options;
  options.max_context = choices.prompt + choices.tokens;
  THIMBLE_TRY(set_cache(choices.cache, options));
  THIMBLE_ASSIGN(const auto decoder,
                 runtime::Decoder::create(opened.bundle, environment.pool, options));
  if (choices.profile) decoder->session().enable_profile();
  THIMBLE_TRY(measure(choices, *decoder, times));
  const runtime::MemoryPlan& memory = decoder->session().memory();
  const int threads = environment.pool.threads();
  if (environment.globals.json) {
    report::print(to_json(choices, times, memory, threads));
    return 0;
  }
  print(choices, times, memory, threads);
  if (choices.profile) print_profile(decoder->session());
  return 0;
}

}  // namespace

void add_bench(CLI::App& app, Globals& globals, Selected& selected) {
  auto choices = std::make_shared<BenchChoices>();
  CLI::App* command =
      add_command(app, globals, selected, "bench", "Measure speed and memory",
                  "  thimble bench out.thimble\n"
                  "  thimble bench out.thimble --threads 1 --prompt 512 --profile\n"
                  "  thimble bench cnn.onnx --dim batch=1\n"
                  "  thimble bench encoder.onnx --inputs in.npz",
                  [choices](Environment& environment) { return run_bench(*choices, environment); });
  add_file_argument(*command, choices->file);
  add_count(*command, "--prompt", choices->prompt, {1, 1 << 20},
            "Tokens of prefill, or of an encoder's text; 128 unless given");
  add_count(*command, "--tokens", choices->tokens, {2, 1 << 20},
            "Tokens to decode; 64 unless given");
  command
      ->add_option("--inputs", choices->inputs,
                   "Of a model that takes tensors: arrays by name; made up unless given")
      ->type_name("NPZ");
  add_count(*command, "--repeat", choices->repeat, {1, 1000}, "Rounds; the median counts");
  add_cache_option(*command, choices->cache);
  add_dim_option(*command, globals);
  command->add_flag("--profile", choices->profile, "Also the slowest instructions");
}

}  // namespace thimble::cli
