// quantize-activations: a scale and a zero for every value that a quantized product or convolution
// reads, from its range over the calibration (static int8), and for what lies between them: results
// of convolutions, sums, pools. What goes in is the model as the passes before left it, so weights
// should be quantized first. Values whose products keep their activations in floats stay so.

#include <algorithm>
#include <map>

#include "calibrate/calibration.h"
#include "calibrate/ranges.h"
#include "ir/match.h"
#include "passes/quantize/findings.h"
#include "passes/quantize/integer_islands.h"
#include "passes/quantize/settings.h"
#include "passes/registrations.h"
#include "support/text.h"

namespace thimble::passes {
namespace {

using calibrate::RangeMethod;

RangeMethod method_of(const std::string& word) {
  if (word == "minmax") return RangeMethod::kMinMax;
  if (word == "moving-average") return RangeMethod::kMovingAverage;
  if (word == "entropy") return RangeMethod::kEntropy;
  return word == "mse" ? RangeMethod::kMse : RangeMethod::kPercentile;
}

ir::ValueId input_of(const ir::Model& model, ir::NodeId node) {
  if (const auto linear = ir::match_linear(model, node)) return linear->input;
  if (const auto conv = ir::match_convolution(model, node)) return conv->input;
  return {};
}

std::string text_of(double value) { return format_significant(value, 6); }

class QuantizeActivations : public pass::Pass {
 public:
  Status configure(const pass::Options& options) override {
    options_.method = method_of(options.text("method"));
    options_.percentile = options.real("percentile");
    options_.symmetric = options.boolean("symmetric");
    THIMBLE_ASSIGN(only_, pass::Selector::only(options));
    return ok();
  }

  bool needs_calibration() const override { return true; }

  Status run(ir::Model& model, pass::Context& context, pass::Report& report) override {
    const IntegerIslands islands(model, inputs_of(model));
    const std::vector<ir::ValueId>& values = islands.values();
    if (values.empty()) {
      report.current().findings.push_back(no_effect("no quantized product reads a value as int8"));
      return ok();
    }
    if (context.dry_run) return ok();  // sizes stay as they are
    THIMBLE_ASSIGN(
        const auto ranges,
        calibrate::observe_ranges(model, context.calibration->samples(), values, context.pool));
    std::map<ir::ValueId, calibrate::Range> chosen;  // by leader
    for (const auto& [value, statistics] : ranges) {
      const calibrate::Range range = calibrate::choose_range(statistics, options_);
      calibrate::Range& all = chosen[islands.leader(value)];
      all = {std::min(all.low, range.low), std::max(all.high, range.high)};
    }
    for (const ir::ValueId value : values) {
      const auto found = ranges.find(value);
      if (found != ranges.end())
        set(model, value, found->second, chosen[islands.leader(value)], report.current());
    }
    return ok();
  }

 private:
  // What quantized products read as int8, in the graph's order.
  std::vector<ir::ValueId> inputs_of(const ir::Model& model) const {
    const std::vector<ir::WeightUse> uses = ir::quantizable_weights(model);
    const int layers = ir::layer_count(uses);
    std::vector<ir::ValueId> values;
    for (const ir::WeightUse& use : uses) {
      if (model.weight(use.weight).encoding.is_dense() || !only_.matches(model, use, layers))
        continue;
      for (const ir::NodeId node : use.nodes) {
        const ir::ValueId input = input_of(model, node);
        if (!input.valid() || std::find(values.begin(), values.end(), input) != values.end())
          continue;
        if (model.graph.value(input).activation != ir::ActivationScheme::kFloat)
          values.push_back(input);
      }
    }
    return values;
  }

  void set(ir::Model& model, ir::ValueId id, const calibrate::RangeStatistics& statistics,
           const calibrate::Range& range, pass::PassReport& report) const {
    ir::Value& value = model.graph.value(id);
    if (statistics.histogram.left_out() > 0) {
      const std::uint64_t count = statistics.histogram.left_out();
      report.findings.push_back({pass::FindingKind::kNotFinite, value.name, count,
                                 std::to_string(count) + " of its numbers aren't finite; the range "
                                                         "leaves them out",
                                 ""});
    }
    if (statistics.low == statistics.high)
      report.findings.push_back({pass::FindingKind::kDeadChannel, value.name, 0,
                                 "it was 0 in all of the calibration", ""});
    value.activation = ir::ActivationScheme::kStatic;
    value.static_scale = calibrate::static_scale(range, options_.symmetric);
    pass::TensorDecision decision;
    decision.tensor = value.name;
    decision.scheme = "int8 scale " + text_of(value.static_scale.scale) + " zero " +
                      std::to_string(value.static_scale.zero);
    decision.bits_per_weight = 8;
    const double outside = calibrate::share_outside(statistics.histogram, range) * 100;
    decision.why = "values " + text_of(statistics.low) + " to " + text_of(statistics.high) + ", " +
                   text_of(outside) + " % cut off";
    report.decisions.push_back(std::move(decision));
    report.changes += 1;
  }

  calibrate::RangeOptions options_;
  pass::Selector only_;
};

}  // namespace

pass::Registration quantize_activations() {
  using pass::OptionType;
  return {{.name = "quantize-activations",
           .summary =
               "Give what quantized products read, and what lies between them, fixed int8 scales",
           .kind = pass::Kind::kLossy,
           .options = {{.name = "method",
                        .type = OptionType::kWord,
                        .fallback = "percentile",
                        .help = "what of a value's range the codes cover",
                        .words = {"minmax", "moving-average", "percentile", "entropy", "mse"}},
                       {.name = "percentile",
                        .type = OptionType::kReal,
                        .fallback = "99.999",
                        .unit = "%",
                        .help = "of the values, by method: percentile",
                        .minimum = 50,
                        .maximum = 100},
                       {.name = "symmetric",
                        .type = OptionType::kBool,
                        .fallback = "false",
                        .help = "codes around 0; false shifts them by a zero point"},
                       only_option()}},
          [] { return std::unique_ptr<pass::Pass>(new QuantizeActivations); }};
}

}  // namespace thimble::passes
