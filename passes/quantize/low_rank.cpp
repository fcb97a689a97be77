// low-rank: adds a product of two thin matrices beside each quantized one that makes up for most of
// its error: x Q^T + (x B^T) A^T with A B near W - Q(W), in the weights (LoRC, Yao et al. 2023,
// arXiv 2303.08302) or, given a calibration, in the outputs (EoRA, Liu et al. 2024, arXiv
// 2410.21271). Ordinary nodes; their bytes count.

#include "quant/low_rank.h"

#include <map>

#include "calibrate/calibration.h"
#include "ir/decode.h"
#include "passes/quantize/compensation.h"
#include "passes/quantize/findings.h"
#include "passes/quantize/rewritten.h"
#include "passes/quantize/settings.h"
#include "passes/registrations.h"
#include "quant/hessian.h"

namespace thimble::passes {
namespace {

// The weights of the two products: a [rows, rank], b [rank, inputs].
struct Factors {
  ir::WeightId a, b;
};

void store(ir::Weight& weight, std::span<const float> values) {
  const auto row_bytes =
      static_cast<std::uint64_t>(weight.inputs() * ir::dtype_bits(weight.dtype)) / 8;
  weight.source = ir::owned_dense(ir::encode_floats(weight.dtype, values), row_bytes);
}

ir::Weight empty(const std::string& name, std::vector<std::int64_t> dims, ir::DType type) {
  ir::Weight weight;
  weight.name = name;
  weight.dtype = type;
  weight.dims = std::move(dims);
  store(weight, std::vector<float>(static_cast<std::size_t>(weight.element_count())));
  return weight;
}

class LowRank : public pass::Pass {
 public:
  Status configure(const pass::Options& options) override {
    low_rank_.rank = options.integer("rank");
    whiten_ = options.boolean("whiten");
    type_ = *ir::dtype_from_name(options.text("type"));
    THIMBLE_ASSIGN(only_, pass::Selector::only(options));
    return ok();
  }

  bool needs_calibration() const override { return whiten_; }

  Status run(ir::Model& model, pass::Context& context, pass::Report& report) override {
    pass::PassReport& here = report.current();
    const std::vector<Compensated> targets = find_compensated(model, context, only_, here);
    if (targets.empty()) return ok();
    std::map<std::uint32_t, Factors> factors;  // by the product's weight
    for (const Compensated& target : targets)
      factors[target.use.weight.index] = insert(model, target);
    THIMBLE_TRY(ir::infer_shapes(model));
    const auto fill = [&](const Compensated& target,
                          const calibrate::InputStatistics& statistics) -> Status {
      return compensate(model, context, report, target, factors.at(target.use.weight.index),
                        statistics);
    };
    if (context.dry_run) {
      for (const Compensated& target : targets)
        decide(model, target, factors.at(target.use.weight.index), here);
      return ok();
    }
    if (whiten_)
      return visit_blocks(model, context, here, targets, calibrate::Products::kGram, fill);
    for (const Compensated& target : targets) THIMBLE_TRY(fill(target, {}));
    return ok();
  }

 private:
  // The nodes, with factors of zeros.
  Factors insert(ir::Model& model, const Compensated& target) const {
    const ir::Linear& linear = target.linear;
    const std::int64_t rank = std::min({low_rank_.rank, linear.rows, linear.inputs});
    const std::string name = model.weight(linear.weight).name;
    const std::string node_name = model.graph.node(linear.product).name;
    const Factors factors = {
        model.add_weight(empty(name + ".low_rank_a", {linear.rows, rank}, type_)),
        model.add_weight(empty(name + ".low_rank_b", {rank, linear.inputs}, type_))};
    const auto insert_one = [&](const std::string& op, std::vector<ir::ValueId> inputs,
                                std::vector<ir::Attribute> attributes) {
      ir::Node node{"", op, node_name, std::move(inputs), {}, std::move(attributes)};
      const ir::NodeId id = model.graph.insert_before(linear.product, std::move(node),
                                                      {node_name + ".low_rank." + op});
      return model.graph.node(id).outputs[0];
    };
    ir::ValueId value = linear.input;
    for (const ir::WeightId weight : {factors.b, factors.a}) {
      const ir::ValueId turned = insert_one("Transpose", {model.constant(weight)},
                                            {{"perm", std::vector<std::int64_t>{1, 0}}});
      value = insert_one("MatMul", {value, turned}, {});
    }
    add_after(model, linear.output, value, node_name);
    return factors;
  }

  // Factors as the journal holds them: a stream of a then b, with three figures.
  Status compensate(ir::Model& model, pass::Context& context, pass::Report& report,
                    const Compensated& target, const Factors& factors,
                    const calibrate::InputStatistics& statistics) const {
    const std::int64_t a_size = model.weight(factors.a).element_count();
    ir::Weight entry;
    entry.name = model.weight(target.use.weight).name;
    entry.dims = {a_size + model.weight(factors.b).element_count()};
    const calibrate::Journal* journal =
        context.calibration == nullptr ? nullptr : context.calibration->journal();
    const std::string key = report.step_key();
    std::optional<calibrate::Finished> known;
    if (journal != nullptr) known = journal->find(key, entry);
    std::vector<float> values;
    std::vector<double> figures;
    if (known && known->figures.size() == 3) {
      THIMBLE_ASSIGN(ir::Rows rows, known->source->read(0, 1));
      values = std::move(rows.scales);
      figures = known->figures;
    } else {
      THIMBLE_TRY(solve(model, context, target, statistics, values, figures));
      ir::Rows rows;
      rows.count = 1;
      rows.scales = values;
      if (journal != nullptr) THIMBLE_TRY(journal->add(key, entry, rows, figures));
    }
    const auto at = static_cast<std::size_t>(a_size);
    store(model.weight(factors.a), std::span(values).first(at));
    store(model.weight(factors.b), std::span(values).subspan(at));
    decide(model, target, factors, report.current());
    pass::TensorDecision& decision = report.current().decisions.back();
    if (figures[2] > 0) {
      decision.rounding_output_error = figures[0] / figures[2];
      decision.output_error = figures[1] / figures[2];
    }
    return ok();
  }

  // Figures: the error before and after, and the energy of the outputs (of the weights for LoRC).
  Status solve(const ir::Model& model, const pass::Context& context, const Compensated& target,
               const calibrate::InputStatistics& statistics, std::vector<float>& values,
               std::vector<double>& figures) const {
    THIMBLE_ASSIGN(const Errors errors, errors_of(model, context, target));
    const std::int64_t inputs = target.linear.inputs, rows = target.linear.rows;
    auto found =
        quant::low_rank(errors.errors, rows, inputs, statistics.gram, low_rank_, context.pool);
    if (!found) return std::move(found).error().at_tensor(model.weight(target.use.weight).name);
    values = std::move(found->a);
    values.insert(values.end(), found->b.begin(), found->b.end());
    double signal = 0;
    if (statistics.gram.empty()) {
      for (const float w : errors.original) signal += static_cast<double>(w) * w;
    } else {
      THIMBLE_ASSIGN(const quant::Hessian hessian, quant::Hessian::make(statistics.gram, inputs));
      signal = hessian.error(errors.original, rows, context.pool);
    }
    figures = {found->error_before, found->error, signal};
    return ok();
  }

  void decide(const ir::Model& model, const Compensated& target, const Factors& factors,
              pass::PassReport& report) const {
    const ir::Weight &a = model.weight(factors.a), &b = model.weight(factors.b);
    report.decisions.push_back(decision_on(model.weight(target.use.weight),
                                           "rank " + std::to_string(a.dims[1]) + " beside it, " +
                                               std::to_string(a.byte_size() + b.byte_size()) +
                                               " bytes"));
    report.changes += 1;
  }

  quant::LowRankOptions low_rank_;
  bool whiten_ = true;
  ir::DType type_ = ir::DType::kF16;
  pass::Selector only_;
};

std::vector<pass::OptionInfo> option_infos() {
  using pass::OptionType;
  return {
      {.name = "rank",
       .type = OptionType::kInteger,
       .fallback = "32",
       .help = "of the added product; at most the weight's",
       .minimum = 1,
       .maximum = 4096},
      {.name = "whiten",
       .type = OptionType::kBool,
       .fallback = "true",
       .help =
           "least error in the outputs on the calibration (EoRA); false: in the weights (LoRC)"},
      {.name = "type",
       .type = OptionType::kWord,
       .fallback = "f16",
       .help = "of the added weights",
       .words = {"f16", "bf16", "f32"}},
      only_option(),
  };
}

}  // namespace

pass::Registration low_rank() {
  return {{.name = "low-rank",
           .summary = "Add thin products that make up for the error of quantized ones",
           .kind = pass::Kind::kLossy,
           .options = option_infos()},
          [] { return std::unique_ptr<pass::Pass>(new LowRank); }};
}

}  // namespace thimble::passes
