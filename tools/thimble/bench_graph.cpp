#include "tools/thimble/bench_graph.h"

#include <algorithm>
#include <cstdio>

#include <nlohmann/json.hpp>

#include "data/npz.h"
#include "eval/arrays.h"
#include "report/json.h"
#include "report/table.h"
#include "runtime/session.h"
#include "support/stopwatch.h"
#include "support/system.h"
#include "support/text.h"
#include "tools/thimble/bench_inputs.h"
#include "tools/thimble/macs.h"
#include "tools/thimble/timing.h"

namespace thimble::cli {
namespace {

struct Measured {
  double load = 0;  // seconds
  GraphTimes times;
  std::vector<Macs> macs;
};

report::Json to_json(const GraphBench& bench, const Measured& measured,
                     const runtime::MemoryPlan& memory, int threads) {
  report::Json out = report::document("bench");
  out["file"] = bench.file;
  out["threads"] = threads;
  out["load_seconds"] = measured.load;
  out["first_run_seconds"] = measured.times.first;
  out["run_seconds"] = median(measured.times.runs);
  out["run_seconds_best"] = least(measured.times.runs);
  out["runs"] = measured.times.runs;
  out["mac_shares"] = shares_of(measured.macs);
  report::Json kernels = report::Json::array();
  for (const Macs& one : measured.macs) {
    kernels.push_back(
        {{"name", one.name}, {"op", one.op}, {"type", one.type}, {"macs", one.count}});
  }
  out["kernels"] = std::move(kernels);
  out["memory"] = {{"weights", memory.weights}, {"activations", memory.activations}};
  out["peak_rss_bytes"] = system::peak_rss_bytes();
  return out;
}

void print(const GraphBench& bench, const Measured& measured, int threads) {
  report::Table table({{"measure"}, {"median", true}, {"best", true}});
  table.add({"run, ms", format_fixed(median(measured.times.runs) * 1e3, 3),
             format_fixed(least(measured.times.runs) * 1e3, 3)});
  table.add({"first run, ms", format_fixed(measured.times.first * 1e3, 3), ""});
  table.add({"load, ms", format_fixed(measured.load * 1e3, 3), ""});
  std::printf("%s, %d threads\n", bench.file.c_str(), threads);
  table.print();
  report::Table shares({{"multiplications in"}, {"share", true}});
  for (const auto& [type, share] : shares_of(measured.macs))
    shares.add({type, format_fixed(share * 100, 2) + " %"});
  std::printf("\n");
  shares.print();
}

}  // namespace

void print_profile(const runtime::Session& session) {
  auto profile = session.profile();
  std::sort(profile.begin(), profile.end(),
            [](const auto& a, const auto& b) { return a.seconds > b.seconds; });
  report::Table table({{"instruction"}, {"op"}, {"calls", true}, {"ms", true}});
  for (std::size_t i = 0; i < std::min<std::size_t>(profile.size(), 20); ++i) {
    table.add({std::string(profile[i].name), std::string(profile[i].op),
               std::to_string(profile[i].calls), format_fixed(profile[i].seconds * 1e3, 2)});
  }
  std::printf("\n");
  table.print();
}

Expected<int> bench_graph(const GraphBench& bench, const Opened& opened, Environment& environment) {
  THIMBLE_ASSIGN(std::vector<data::Array> arrays,
                 bench.inputs.empty()
                     ? made_inputs(opened.bundle, {bench.sizes, ranges_of(opened), bench.tokens})
                     : data::read_npz(bench.inputs));
  auto views = eval::bind_inputs(opened.bundle.program, arrays);
  if (!views) return std::move(views).error().in(bench.inputs);
  Measured measured;
  const Stopwatch loading;
  THIMBLE_ASSIGN(const auto session, runtime::Session::create(opened.bundle, environment.pool));
  measured.load = bench.load_seconds + loading.seconds();
  THIMBLE_ASSIGN(measured.times, time_graph(*session, *views, bench.repeat, bench.profile));
  if (bench.profile && !environment.globals.json) print_profile(*session);
  THIMBLE_ASSIGN(measured.macs, macs_of(*session, *views));
  if (environment.globals.json) {
    report::print(to_json(bench, measured, session->memory(), environment.pool.threads()));
  } else {
    print(bench, measured, environment.pool.threads());
  }
  return 0;
}

}  // namespace thimble::cli
