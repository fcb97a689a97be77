#include "passes/quantize/compensation.h"

#include <algorithm>

#include "calibrate/calibration.h"
#include "calibrate/observe.h"
#include "passes/quantize/findings.h"
#include "passes/quantize/matrix.h"
#include "passes/quantize/rewritten.h"
#include "support/system.h"

namespace thimble::passes {
namespace {

constexpr std::uint64_t kStatisticsBytes = std::uint64_t{1} << 30;

std::string obstacle(const ir::Model& model, const pass::Context& context,
                     const ir::WeightUse& use) {
  const ir::Encoding& encoding = model.weight(use.weight).encoding;
  if (!context.originals.contains(use.weight.index)) return "it came quantized";
  if (use.gathered) return "it is an embedding";
  if (use.convolved) return "it is a convolution's";
  if (use.recurrent) return "it is a recurrent operator's";
  if (use.nodes.size() > 1) return "several products share it";
  return encoding.per_tensor ? "it has one scale for all of it" : "";
}

}  // namespace

std::vector<Compensated> find_compensated(const ir::Model& model, const pass::Context& context,
                                          const pass::Selector& only, pass::PassReport& report) {
  const std::vector<ir::WeightUse> uses = ir::quantizable_weights(model);
  const int layers = ir::layer_count(uses);
  std::vector<Compensated> targets;
  for (const ir::WeightUse& use : uses) {
    const ir::Weight& weight = model.weight(use.weight);
    if (weight.encoding.is_dense() || !only.matches(model, use, layers)) continue;
    const std::string why = obstacle(model, context, use);
    if (why.empty()) {
      targets.push_back({use, *ir::match_linear(model, use.nodes.front())});
      continue;
    }
    report.decisions.push_back(kept(weight, "not compensated: " + why));
  }
  if (targets.empty())
    report.findings.push_back(no_effect("no quantized weight was there to compensate"));
  return targets;
}

Expected<Errors> errors_of(const ir::Model& model, const pass::Context& context,
                           const Compensated& target) {
  const ir::Weight& weight = model.weight(target.use.weight);
  const ir::Weight& original = context.originals.at(target.use.weight.index);
  Errors out;
  THIMBLE_ASSIGN(out.original, read_matrix(original, target.use.axis));
  THIMBLE_ASSIGN(out.errors, read_matrix(weight, target.use.axis));
  original.source->release(0, original.rows());
  weight.source->release(0, weight.rows());
  for (std::size_t i = 0; i < out.errors.size(); ++i)
    out.errors[i] = out.original[i] - out.errors[i];
  return out;
}

Status visit_blocks(const ir::Model& model, pass::Context& context, pass::PassReport& report,
                    std::span<const Compensated> targets, calibrate::Products products,
                    const Visitor& visit) {
  THIMBLE_ASSIGN(calibrate::Walk walk,
                 calibrate::Walk::create(model, context.calibration->samples(), context.pool));
  context.progress.begin(report.pass, static_cast<double>(targets.size()), "weights");
  std::vector<bool> done(targets.size());
  std::size_t left = targets.size();
  while (left > 0 && !walk.done()) {
    for (;;) {  // as many inputs at a time as their statistics may take
      std::vector<ir::ValueId> inputs;
      std::uint64_t bytes = 0;
      for (std::size_t i = 0; i < targets.size(); ++i) {
        const ir::Linear& linear = targets[i].linear;
        if (done[i] || !walk.at_hand(linear.input) ||
            std::find(inputs.begin(), inputs.end(), linear.input) != inputs.end())
          continue;
        bytes += calibrate::statistics_bytes(linear.inputs, products);
        if (!inputs.empty() && bytes > kStatisticsBytes) break;
        inputs.push_back(linear.input);
      }
      if (inputs.empty()) break;
      THIMBLE_ASSIGN(const calibrate::Statistics statistics,
                     calibrate::observe_block(walk, inputs, products, {}));
      for (std::size_t i = 0; i < targets.size(); ++i) {
        const auto found = statistics.find(targets[i].linear.input);
        if (done[i] || found == statistics.end()) continue;
        THIMBLE_TRY(system::check_interrupt());
        const calibrate::InputStatistics& seen = found->second;
        const auto dead = std::count(seen.energy.begin(), seen.energy.end(), 0.0);
        if (products == calibrate::Products::kGram) {
          find_poor_inputs(model.weight(targets[i].use.weight), static_cast<std::uint64_t>(dead),
                           "their errors stay", seen.tokens, seen.width, "", report);
        }
        THIMBLE_TRY(visit(targets[i], seen));
        context.progress.advance(1);
        done[i] = true;
        left -= 1;
      }
    }
    if (left > 0) THIMBLE_TRY(walk.run({}, {}, {.move = true}));
  }
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (!done[i]) {
      report.findings.push_back(left_as_it_is(model.weight(targets[i].use.weight).name,
                                              "what it multiplies is constant"));
    }
  }
  context.progress.end();
  return ok();
}

Status CorrectionPass::configure(const pass::Options& options) {
  THIMBLE_ASSIGN(only_, pass::Selector::only(options));
  return ok();
}

Status CorrectionPass::run(ir::Model& model, pass::Context& context, pass::Report& report) {
  pass::PassReport& here = report.current();
  std::vector<Compensated> targets = find_compensated(model, context, only_, here);
  if (!targets.empty()) THIMBLE_TRY(prepare(model, here, targets));
  if (targets.empty() || context.dry_run) return ok();
  return visit_blocks(model, context, here, targets, products_,
                      [&](const Compensated& target, const calibrate::InputStatistics& statistics) {
                        return correct(model, context, report, target, statistics);
                      });
}

ir::WeightId bias_of(ir::Model& model, const ir::Linear& linear) {
  ir::Graph& graph = model.graph;
  const auto is_bias = [&](ir::ValueId value) {
    if (!value.valid() || !graph.value(value).weight.valid()) return false;
    const ir::Weight& weight = model.weight(graph.value(value).weight);
    return is_rewritable(weight) && weight.element_count() == linear.rows;
  };
  const ir::Node& product = graph.node(linear.product);
  if (product.is("Gemm") && product.inputs.size() > 2 && is_bias(product.inputs[2]))
    return own_constant(model, linear.product, 2);
  const std::vector<ir::NodeId> readers = graph.users(linear.output);
  if (readers.size() == 1 && graph.node(readers[0]).is("Add") && !graph.is_output(linear.output)) {
    const std::size_t other = graph.node(readers[0]).inputs[0] == linear.output ? 1 : 0;
    if (is_bias(graph.node(readers[0]).inputs[other]))
      return own_constant(model, readers[0], other);
  }
  const std::string name = product.name;
  const std::vector<float> zeros(static_cast<std::size_t>(linear.rows));
  const ir::ValueId bias = model.constant(ir::make_dense(name + ".bias", {linear.rows}, zeros));
  add_after(model, linear.output, bias, name);
  return graph.value(bias).weight;
}

}  // namespace thimble::passes
