#pragma once
// What passes share that make up for the error of weights which a pass before them encoded.

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "calibrate/statistics.h"
#include "ir/match.h"
#include "pass/pass.h"
#include "pass/selector.h"
#include "passes/quantize/settings.h"

namespace thimble::passes {

struct Compensated {
  ir::WeightUse use;
  ir::Linear linear;  // the product that reads the weight
};

// Encoded weights of one product each whose originals the context holds, in the graph's order.
// Those that cannot be compensated are named in the report.
std::vector<Compensated> find_compensated(const ir::Model& model, const pass::Context& context,
                                          const pass::Selector& only, pass::PassReport& report);

// W as it was and W - Q(W), [rows, inputs], row-major.
struct Errors {
  std::vector<float> original;
  std::vector<float> errors;
};
Expected<Errors> errors_of(const ir::Model& model, const pass::Context& context,
                           const Compensated& target);

// Calls `visit` with statistics of each target's input, block by block on the model as it is. What
// visit changes in a block's weights is in place before the next block's inputs are computed; it
// leaves the graph alone. A target whose input is constant is named in the report.
using Visitor =
    std::function<Status(const Compensated& target, const calibrate::InputStatistics& statistics)>;
Status visit_blocks(const ir::Model& model, pass::Context& context, pass::PassReport& report,
                    std::span<const Compensated> targets, calibrate::Products products,
                    const Visitor& visit);

// A pass that corrects weights, or what goes with them, block by block; its option is `only`.
class CorrectionPass : public pass::Pass {
 public:
  explicit CorrectionPass(calibrate::Products products) : products_(products) {}
  Status configure(const pass::Options& options) override;
  bool needs_calibration() const override { return true; }
  Status run(ir::Model& model, pass::Context& context, pass::Report& report) override;

 protected:
  // Changes the graph as the correction needs it, and leaves out targets that have none.
  virtual Status prepare(ir::Model& model, pass::PassReport& report,
                         std::vector<Compensated>& targets) = 0;
  virtual Status correct(ir::Model& model, pass::Context& context, pass::Report& report,
                         const Compensated& target,
                         const calibrate::InputStatistics& statistics) = 0;

 private:
  calibrate::Products products_;
  pass::Selector only_;
};

template <class P>
pass::Registration correction(std::string name, std::string summary) {
  return {{.name = std::move(name),
           .summary = std::move(summary),
           .kind = pass::Kind::kLossy,
           .options = {only_option()}},
          [] { return std::unique_ptr<pass::Pass>(new P); }};
}

// The bias vector of a product, [linear.rows]: the one it has, for it alone, or a new one of zeros.
ir::WeightId bias_of(ir::Model& model, const ir::Linear& linear);

}  // namespace thimble::passes
