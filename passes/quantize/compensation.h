#pragma once
// What passes share that make up for the error of weights which a pass before them encoded.

#include <functional>
#include <span>
#include <vector>

#include "calibrate/calibration.h"
#include "calibrate/statistics.h"
#include "ir/match.h"
#include "pass/pass.h"
#include "pass/selector.h"

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
                    std::span<const Compensated> targets, bool with_gram, const Visitor& visit);

// The bias vector of a product, [linear.rows]: the one it has, for it alone, or a new one of zeros.
ir::WeightId bias_of(ir::Model& model, const ir::Linear& linear);

}  // namespace thimble::passes
