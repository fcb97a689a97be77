// thimble bench: prefill and decode speed, time to the first token, memory; of graphs that take
// tensors the time of a run (bench_graph.cpp).

#include <cstdio>

#include <nlohmann/json.hpp>

#include "report/json.h"
#include "report/table.h"
#include "runtime/generate.h"
#include "support/stopwatch.h"
#include "support/system.h"
#include "support/text.h"
#include "tools/thimble/bench_graph.h"
#include "tools/thimble/generation.h"
#include "tools/thimble/open.h"
#include "tools/thimble/timing.h"

namespace thimble::cli {
namespace {

struct BenchChoices {
  std::string file, cache, inputs;
  DecoderRounds rounds;
  bool profile = false;
};

struct Times {
  double load = 0;  // seconds
  DecoderTimes rounds;
};

report::Json to_json(const BenchChoices& choices, const Times& times,
                     const runtime::MemoryPlan& memory, int threads) {
  const auto prompt = static_cast<double>(choices.rounds.prompt);
  report::Json out = report::document("bench");
  out["file"] = choices.file;
  out["threads"] = threads;
  out["prompt_tokens"] = choices.rounds.prompt;
  out["prefill_tokens_per_second"] = prompt / median(times.rounds.prefill);
  out["prefill_tokens_per_second_best"] = prompt / least(times.rounds.prefill);
  out["decode_tokens_per_second"] = 1 / median(times.rounds.decode);
  out["decode_tokens_per_second_best"] = 1 / least(times.rounds.decode);
  out["ttft_seconds"] = median(times.rounds.first);
  out["load_seconds"] = times.load;
  out["memory"] = {
      {"weights", memory.weights}, {"caches", memory.caches}, {"activations", memory.activations}};
  out["peak_rss_bytes"] = system::peak_rss_bytes();
  return out;
}

void print(const BenchChoices& choices, const Times& times, const runtime::MemoryPlan& memory,
           int threads) {
  const auto prompt = static_cast<double>(choices.rounds.prompt);
  report::Table table({{"measure"}, {"median", true}, {"best", true}});
  table.add({"prefill, tokens/s (" + std::to_string(choices.rounds.prompt) + ")",
             format_fixed(prompt / median(times.rounds.prefill), 1),
             format_fixed(prompt / least(times.rounds.prefill), 1)});
  table.add({"decode, tokens/s", format_fixed(1 / median(times.rounds.decode), 1),
             format_fixed(1 / least(times.rounds.decode), 1)});
  table.add({"time to first token, ms", format_fixed(median(times.rounds.first) * 1e3, 1),
             format_fixed(least(times.rounds.first) * 1e3, 1)});
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
    return bench_graph({choices.file, choices.inputs, sizes, choices.rounds.prompt,
                        choices.rounds.repeat, choices.profile, times.load},
                       opened, environment);
  if (!environment.globals.dims.empty())
    return Error(ErrorCode::kUsage, "a language model has no sizes to say")
        .fix("leave --dim out; --prompt says the number of tokens");
  runtime::SessionOptions options;
  options.max_context = choices.rounds.prompt + choices.rounds.tokens;
  THIMBLE_TRY(set_cache(choices.cache, options));
  THIMBLE_ASSIGN(const auto decoder,
                 runtime::Decoder::create(opened.bundle, environment.pool, options));
  if (choices.profile) decoder->session().enable_profile();
  THIMBLE_ASSIGN(times.rounds, time_decoder(*decoder, choices.rounds));
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
  add_count(*command, "--prompt", choices->rounds.prompt, {1, 1 << 20},
            "Tokens of prefill, or of an encoder's text; 128 unless given");
  add_count(*command, "--tokens", choices->rounds.tokens, {2, 1 << 20},
            "Tokens to decode; 64 unless given");
  command
      ->add_option("--inputs", choices->inputs,
                   "Of a model that takes tensors: arrays by name; made up unless given")
      ->type_name("NPZ");
  add_count(*command, "--repeat", choices->rounds.repeat, {1, 1000}, "Rounds; the median counts");
  add_cache_option(*command, choices->cache);
  add_dim_option(*command, globals);
  command->add_flag("--profile", choices->profile, "Also the slowest instructions");
}

}  // namespace thimble::cli
