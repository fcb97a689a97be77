#pragma once
// A pass: one change to a model, described by data and run by one manager.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ir/model.h"
#include "pass/allocation.h"
#include "pass/options.h"
#include "pass/report.h"
#include "support/progress.h"
#include "support/thread_pool.h"

namespace thimble::calibrate {
class Calibration;
}

namespace thimble::pass {

enum class Kind : std::uint8_t { kAnalysis, kRewrite, kLossy };

struct PassInfo {
  std::string name;     // "quantize-weights"
  std::string summary;  // one line
  Kind kind = Kind::kRewrite;
  std::vector<OptionInfo> options;
};

struct Context {
  ThreadPool& pool;
  Progress& progress;
  std::uint64_t seed = 0;
  bool strict = false;   // every fallback is an error
  bool dry_run = false;  // only sizes are wanted: encodings are chosen, no weight is looked at
  calibrate::Calibration* calibration = nullptr;  // given where needs_calibration() says so
  // What encoded weights stood for, by weight: each as it was before a pass first encoded it.
  // Passes that make up for the error of encoding compare with these.
  std::map<std::uint32_t, ir::Weight> originals;
  Allocator* allocator = nullptr;  // given where leaves_open() says so
  // Can what is to be written hold the weight in its encoding? Empty: it holds all that there are.
  std::function<bool(const ir::Weight&)> target_holds;
};

class Pass {
 public:
  virtual ~Pass() = default;
  // Takes the checked options and complains about combinations that cannot be.
  virtual Status configure(const Options& options) = 0;
  virtual bool needs_calibration() const { return false; }  // known once configured
  virtual bool leaves_open() const { return false; }        // `bits: auto` and the like
  virtual Status run(ir::Model& model, Context& context, Report& report) = 0;
};

// What passes/all.cpp lists: description and maker.
struct Registration {
  PassInfo info;
  std::function<std::unique_ptr<Pass>()> make;
};

// One configured step of a recipe.
struct Step {
  const Registration* registration = nullptr;
  Options options;
};

struct ManagerOptions {
  std::vector<std::string> disable;  // names of passes to leave out
  std::string print_after;           // print the graph after this pass ("*": each)
  std::string stop_after;
};

// The first of the steps that needs a calibration; null: none does.
const Step* first_calibrated(std::span<const Step> steps);
// The first of the steps that leaves something to the budget; null: none does.
const Step* first_open(std::span<const Step> steps);
// The steps that these options run.
std::vector<Step> wanted_steps(std::span<const Step> steps, const ManagerOptions& options);

// Runs, times and verifies every pass; a verifier failure is our bug and names the pass.
Status run_passes(ir::Model& model, std::span<const Step> steps, Context& context,
                  const ManagerOptions& options, Report& report);

}  // namespace thimble::pass
