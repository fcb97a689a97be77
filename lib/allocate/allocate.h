#pragma once
// Chooses encodings to a budget. docs/decisions/0006-budget.md says why it works as it does.
//
//   survey     a dry run of the passes: which weights are open, in which encodings, what each costs
//   estimate   each encoding's error of the products' outputs on the tune samples, times a slope
//              from end-to-end measurements: a predicted divergence per weight and encoding
//   solve      the multiple-choice knapsack (knapsack.h)
//
// An Allocation is then the allocator of the passes' real run.

#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "allocate/knapsack.h"
#include "calibrate/journal.h"
#include "calibrate/walk.h"
#include "ir/match.h"
#include "pass/pass.h"

namespace thimble::allocate {

// What passes leave open in one model.
struct Survey {
  struct Open {
    std::string name;
    pass::OpenWeight wish;
    int layer = -1;
    std::string role;
  };
  std::vector<Open> weights;
  std::vector<Item> items;  // bytes by weight and encoding; costs are 0 until estimated
  std::uint64_t fixed = 0;  // bytes of everything else
};

// The model as the first of `steps` finds it.
struct Request {
  const ir::Model& model;
  std::span<const pass::Step> steps;
  const pass::Report& report;  // of the passes before
  pass::Context& context;
  pass::Budget budget;
  // What the budget bounds: bytes of the file, or of its segments, for a model after all passes.
  std::function<Expected<std::uint64_t>(const ir::Model&)> bytes;
  // About what a weight as it is encoded takes of them. None: what lower's tiles take.
  std::function<std::uint64_t(const ir::Weight&)> weight_bytes = {};
};

Expected<Survey> survey(const Request& request);

// The limit in bytes: of a size, or of bits per weight over the original's parameters. Refuses one
// that the smallest selection exceeds, with what the smallest would be.
Expected<std::uint64_t> limit_of(const Request& request, const Survey& survey,
                                 std::uint64_t parameters);

// Fills in the costs, and fits the encodings that are to be fitted. What was measured goes to the
// journal, if any, and comes from there.
Status estimate(const Request& request, std::span<const calibrate::Sample> samples,
                const calibrate::Journal* journal, Survey& survey);

// How many runs over the samples that takes, should all these weights be open.
std::size_t trial_count(std::span<const ir::WeightUse> weights, pass::Sensitivity sensitivity);

class Allocation : public pass::Allocator {
 public:
  Allocation(const Survey& survey, const Selection& selection);
  Expected<pass::Allotment> choose(const ir::Model& model, const pass::OpenWeight& weight) override;

 private:
  std::map<std::string, pass::Allotment> by_name_;
};

// The model after a dry run of the passes with these choices: it can be lowered, and run.
Expected<ir::Model> preview(const Request& request, const Survey& survey,
                            const Selection& selection);

// The selection for a size: fewest predicted nats within `limit` bytes, the fixed ones included.
Selection for_size(const Survey& survey, std::uint64_t limit);

// The smallest selection on the front whose measured divergence is at most `target`; `points` gains
// what was measured. An error names the least that was reached.
Expected<Selection> for_divergence(
    const Survey& survey, double target,
    const std::function<Expected<double>(const Selection&)>& measured,
    std::vector<pass::BudgetPoint>& points);

// At most `count` points of the front, evenly by bytes.
std::vector<pass::BudgetPoint> front_of(const Survey& survey, std::size_t count);

}  // namespace thimble::allocate
