#pragma once
// Passes on whole models: the tiny ones of every architecture (tests/data/oracle) and fable, with
// a few tokens to calibrate on and what the model says to them.

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "calibrate/calibration.h"
#include "data/npz.h"
#include "formats/all.h"
#include "ir/match.h"
#include "lower/lower.h"
#include "runtime/session.h"
#include "unit/passes/run_pass.h"

namespace thimble::test {

namespace fs = std::filesystem;

inline const fs::path kData = fs::path(THIMBLE_SOURCE_DIR) / "tests/data";

// Folders of all of them, below kData.
inline std::vector<std::string> tiny_models() {
  std::vector<std::string> out = {"fable"};
  for (const auto& entry : fs::directory_iterator(kData / "oracle")) {
    if (fs::exists(entry.path() / "expected.npz"))
      out.push_back("oracle/" + entry.path().filename().string());
  }
  std::sort(out.begin(), out.end());
  return out;
}

inline ir::Model read_tiny(const std::string& name) {
  auto model = formats::read_model((kData / name).string(), {});
  if (!model) FAIL(model.error().to_string());
  return *std::move(model);
}

inline calibrate::Held held(std::vector<std::int64_t> dims,
                            const std::vector<std::int64_t>& values) {
  const auto* data = reinterpret_cast<const std::byte*>(values.data());
  return {program::Type::kI64, std::move(dims),
          std::make_shared<const std::vector<std::byte>>(data, data + values.size() * 8)};
}

inline calibrate::Sample tiny_sample(const ir::Model& model, std::int64_t count,
                                     std::int64_t seed) {
  calibrate::Sample sample;
  for (const ir::ValueId id : model.graph.inputs()) {
    const std::string& name = model.graph.value(id).name;
    std::vector<std::int64_t> values;
    for (std::int64_t i = 0; i < count; ++i) {
      values.push_back(name == "input_ids"        ? 2 + (i * i * 7 + i * 37 + seed * 11) % 90
                       : name == "attention_mask" ? 1
                       : name == "token_type_ids" ? i % 2
                                                  : i);
    }
    const std::size_t rank = model.graph.value(id).shape->size();
    if (rank == 2) sample.emplace(name, held({1, count}, values));
    if (rank == 1) sample.emplace(name, held({count}, values));
  }
  return sample;
}

inline std::vector<calibrate::Sample> tiny_samples(const ir::Model& model) {
  return {tiny_sample(model, 48, 1), tiny_sample(model, 64, 2), tiny_sample(model, 48, 3)};
}

// The first output for a text that isn't among the samples.
inline std::vector<float> outputs_of(const ir::Model& model) {
  ThreadPool pool(2);
  const auto bundle = lower::load(model, pool);
  if (!bundle) FAIL(bundle.error().to_string());
  runtime::SessionOptions options;
  options.cache_from_program = false;
  options.max_context = 96;
  const auto session = runtime::Session::create(*bundle, pool, options);
  if (!session) FAIL(session.error().to_string());
  const calibrate::Sample sample = tiny_sample(model, 80, 9);
  std::vector<runtime::TensorView> inputs;
  for (const ir::ValueId id : model.graph.inputs()) {
    const auto given = sample.find(model.graph.value(id).name);
    if (given != sample.end()) inputs.push_back(given->second.view());
  }
  const Status status = (*session)->run(inputs);
  if (!status) FAIL(status.error().to_string());
  const runtime::TensorView& view = (*session)->outputs().front();
  const auto* data = static_cast<const float*>(view.data);
  return {data, data + view.count()};
}

// The largest difference over the range of what is expected.
inline double difference(const std::vector<float>& got, const std::vector<float>& expected) {
  REQUIRE(got.size() == expected.size());
  const auto [low, high] = std::minmax_element(expected.begin(), expected.end());
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (!std::isfinite(got[i])) return INFINITY;
    worst = std::max(worst, std::fabs(static_cast<double>(got[i]) - expected[i]));
  }
  return worst / (static_cast<double>(*high) - *low);
}

// Passes and their options, one after the other, with the tiny samples as calibration.
struct PassOn {
  std::string name;
  pass::OptionValue options = map({});
};

inline PassRun run_with(ir::Model model, const std::vector<PassOn>& passes,
                        std::vector<calibrate::Sample> samples, int threads = 2,
                        std::unique_ptr<calibrate::Journal> journal = nullptr,
                        bool strict = false) {
  PassRun run;
  calibrate::Calibration calibration(std::move(samples));
  calibration.set_journal(std::move(journal));
  run.model = std::move(model);
  std::vector<pass::Step> steps;
  for (const PassOn& pass : passes) {
    const pass::Registration* registration = passes::find(pass.name);
    REQUIRE(registration != nullptr);
    auto checked = pass::Options::check(registration->info.options, pass.options);
    if (!checked) FAIL(checked.error().to_string());
    steps.push_back({registration, *checked});
  }
  ThreadPool pool(threads);
  Progress progress(Progress::Style::kQuiet);
  pass::Context context{pool, progress};
  context.seed = 7;
  context.strict = strict;
  context.calibration = &calibration;
  const Status status = pass::run_passes(run.model, steps, context, {}, run.report);
  if (!status) run.error = status.error().to_string();
  return run;
}

inline PassRun run_on(const ir::Model& model, const std::vector<PassOn>& passes, int threads = 2,
                      std::unique_ptr<calibrate::Journal> journal = nullptr, bool strict = false) {
  return run_with(model, passes, tiny_samples(model), threads, std::move(journal), strict);
}

// Decisions of the i-th pass that changed a weight, or that kept one.
inline std::size_t count_decisions(const PassRun& run, std::size_t pass, bool kept) {
  const auto& decisions = run.report.passes.at(pass).decisions;
  return static_cast<std::size_t>(std::count_if(decisions.begin(), decisions.end(),
                                                [&](const auto& d) { return d.kept == kept; }));
}

}  // namespace thimble::test
