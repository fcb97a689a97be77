// gptq: the codes of a product's or convolution's weight that change its outputs on the calibration
// least (Frantar et al. 2022, arXiv 2210.17323), block by block. Inputs of a block come from the
// blocks before it as they are quantized already, or from the float model; in the former case
// GPTAQ's term (Li et al. 2025, arXiv 2504.02692) can have the codes make up for how they drifted
// from the latter. Embeddings, recurrent weights and those that several products share are left to
// quantize-weights.

#include <algorithm>
#include <map>

#include "calibrate/calibration.h"
#include "passes/quantize/findings.h"
#include "passes/quantize/gptq_inputs.h"
#include "passes/quantize/gptq_matrix.h"
#include "passes/quantize/matrix.h"
#include "passes/quantize/settings.h"
#include "passes/registrations.h"
#include "support/mistakes.h"
#include "support/system.h"

namespace thimble::passes {
namespace {

using pass::FindingKind;

// What statistics of one run over a block may take.
constexpr std::uint64_t kStatisticsBytes = std::uint64_t{1} << 30;

struct Target {
  ir::WeightUse use;
  Choice choice;
  ir::Encoding encoding;
  calibrate::Input input;
  std::int64_t width = 0;  // of its rows
};

// Without its encoding.
Target target_of(const ir::Model& model, const ir::WeightUse& use, const Choice& choice) {
  const ir::NodeId node = use.nodes.front();
  if (const auto conv = ir::match_convolution(model, node)) {
    const auto patches = calibrate::Patches::of(model, node, *conv);
    return {use, choice, {}, {conv->input, patches}, conv->inputs};
  }
  const auto linear = ir::match_linear(model, node);
  THIMBLE_CHECK(linear, "a weight that isn't gathered is multiplied");
  return {use, choice, {}, {linear->input, {}}, linear->inputs};
}

// What is known of a target once it is done. Figures are in the journal's order.
struct Result {
  std::shared_ptr<const ir::WeightSource> source;
  double error = 0, output_error = 0, rounding_output_error = 0;
  double dead = 0, zero_groups = 0, tokens = 0;  // counts
};
constexpr std::size_t kFigures = 6;

Result from_finished(calibrate::Finished finished) {
  const std::vector<double>& f = finished.figures;
  return {std::move(finished.source), f.at(0), f.at(1), f.at(2), f.at(3), f.at(4), f.at(5)};
}

std::vector<double> figures_of(const GptqMatrix& m, std::int64_t tokens) {
  return {m.error,
          m.output_error,
          m.rounding_output_error,
          static_cast<double>(m.dead),
          static_cast<double>(m.zero_groups),
          static_cast<double>(tokens)};
}

class Gptq : public pass::Pass {
 public:
  Status configure(const pass::Options& options) override {
    damp_ = options.real("damp");
    act_order_ = options.boolean("act_order");
    sequential_ = options.boolean("sequential");
    asymmetry_ = options.real("asymmetry");
    Mistakes mistakes;
    if (asymmetry_ > 0 && !sequential_) {
      mistakes.add(
          wrong(*options.find("asymmetry"),
                "'asymmetry' needs `sequential: true`: the float model's inputs don't drift"));
    }
    mistakes.add(rules_.configure(options));
    return std::move(mistakes).status();
  }

  bool needs_calibration() const override { return true; }
  bool leaves_open() const override { return rules_.open(); }

  Status run(ir::Model& model, pass::Context& context, pass::Report& report) override {
    THIMBLE_ASSIGN(std::vector<Target> targets, choose(model, context, report.current()));
    if (targets.empty()) {
      report.current().findings.push_back(no_effect("no weight was quantized"));
      return ok();
    }
    if (context.dry_run) return pretend(model, targets, context, report.current());
    Run run{model, context, report, report.step_key()};
    THIMBLE_ASSIGN(GptqInputs inputs, GptqInputs::create(model, context, asymmetry_ > 0));
    context.progress.begin("gptq", static_cast<double>(targets.size()), "weights");
    auto next = targets.begin();
    int blocks = 0;  // that have weights
    while (next != targets.end() && !inputs.done()) {
      const auto end = std::stable_partition(
          next, targets.end(), [&](const Target& target) { return reads(inputs.block(), target); });
      blocks += next != end;
      THIMBLE_TRY(quantize_block(run, inputs, std::span(next, end), end == targets.end()));
      next = end;
    }
    for (; next != targets.end(); ++next) {
      report.current().findings.push_back(left_as_it_is(
          model.weight(next->use.weight).name, "what it multiplies is constant", next->choice.why));
    }
    if (asymmetry_ > 0 && blocks < 2) {
      report.current().findings.push_back(
          no_effect("`asymmetry` changes nothing: no block comes after a quantized one"));
    }
    context.progress.end();
    return ok();
  }

 private:
  struct Run {
    ir::Model& model;
    pass::Context& context;
    pass::Report& report;
    std::string key;
  };

  static bool reads(const calibrate::Block& block, const Target& target) {
    return std::find(block.nodes.begin(), block.nodes.end(), target.use.nodes.front()) !=
           block.nodes.end();
  }

  Expected<std::vector<Target>> choose(const ir::Model& model, pass::Context& context,
                                       pass::PassReport& report) {
    const std::vector<ir::WeightUse> uses = ir::quantizable_weights(model);
    rules_.begin(uses);
    std::vector<Target> targets;
    for (const ir::WeightUse& use : uses) {
      std::optional<Choice> choice = rules_.choose(model, use);
      if (!choice) continue;
      const ir::Weight& weight = model.weight(use.weight);
      if (use.gathered || use.recurrent) {
        find_unfit(weight, use, *choice, report);
        continue;
      }
      if (choice->skip) {
        report.decisions.push_back(kept(weight, "skipped by " + choice->why));
        continue;
      }
      if (use.nodes.size() > 1) {
        report.findings.push_back(
            left_as_it_is(weight.name, "several products share it", choice->why));
        continue;
      }
      THIMBLE_TRY(rules_.settle(model, use, Taker::kCompensates, context, *choice));
      const bool own_grid =
          !weight.encoding.is_dense() && choice->settings.bits >= weight.encoding.bits;
      if (choice->as_it_is || own_grid) {
        report.decisions.push_back(
            kept(weight, choice->as_it_is ? choice->why : "kept on its own grid"));
        continue;
      }
      targets.push_back(target_of(model, use, *choice));
      THIMBLE_ASSIGN(targets.back().encoding, choice->encoding(weight, use.axis, context.dry_run));
    }
    rules_.find_unused(report);
    return targets;
  }

  // Sizes without the work: rounding takes as many bits.
  static Status pretend(ir::Model& model, const std::vector<Target>& targets,
                        pass::Context& context, pass::PassReport& report) {
    for (const Target& target : targets) {
      remember_original(context, model, target.use.weight);
      ir::Weight& weight = model.weight(target.use.weight);
      if (weight.source != nullptr) {
        THIMBLE_ASSIGN(weight.source,
                       quant::quantized_source(weight, target.encoding, quant::SearchOptions()));
      }
      ir::set_encoding(model, target.use, target.encoding);
      report.decisions.push_back(decision_on(weight, target.choice.why));
      report.changes += 1;
    }
    return ok();
  }

  // Statistics of a block all come from its float weights; the next block's inputs from what it
  // became, unless the float model's are wanted.
  Status quantize_block(Run& run, GptqInputs& inputs, std::span<const Target> targets, bool last) {
    std::map<std::uint32_t, Result> results;  // by weight
    std::vector<Target> wanted;  // the first of each input that is still to be observed
    for (const Target& target : targets) {
      const auto reads_the_same = [&](const Target& other) { return other.input == target.input; };
      if (std::optional<Result> known = find(run, target)) {
        results.emplace(target.use.weight.index, *std::move(known));
      } else if (std::none_of(wanted.begin(), wanted.end(), reads_the_same)) {
        wanted.push_back(target);
      }
    }
    for (std::size_t at = 0; at < wanted.size();) {
      const std::size_t count = group_size(inputs, std::span(wanted).subspan(at));
      std::vector<calibrate::Input> observed;
      for (std::size_t i = at; i < at + count; ++i) observed.push_back(wanted[i].input);
      at += count;
      THIMBLE_ASSIGN(const auto statistics, inputs.observe(observed, at == wanted.size()));
      for (std::size_t i = 0; i < observed.size(); ++i) {
        const auto factors = factors_of(statistics[i], run.context.pool);
        for (const Target& target : targets) {
          if (!(target.input == observed[i]) || results.contains(target.use.weight.index)) continue;
          if (!factors)
            return Error(factors.error()).at_tensor(run.model.weight(target.use.weight).name);
          THIMBLE_ASSIGN(Result result, quantize(run, target, *factors, tokens_of(statistics[i])));
          results.emplace(target.use.weight.index, std::move(result));
        }
      }
    }
    if (!sequential_ && !last) THIMBLE_TRY(inputs.move());
    apply(run, targets, results);
    if (sequential_ && !last) THIMBLE_TRY(inputs.move());
    return ok();
  }

  static std::optional<Result> find(const Run& run, const Target& target) {
    const calibrate::Journal* journal = run.context.calibration->journal();
    if (journal == nullptr) return std::nullopt;
    ir::Weight weight = run.model.weight(target.use.weight);
    weight.encoding = target.encoding;
    std::optional<calibrate::Finished> finished = journal->find(run.key, weight);
    if (!finished || finished->figures.size() != kFigures) return std::nullopt;
    return from_finished(*std::move(finished));
  }

  // How many of the targets' inputs fit the memory for statistics; at least one.
  static std::size_t group_size(const GptqInputs& inputs, std::span<const Target> targets) {
    std::uint64_t bytes = 0;
    std::size_t count = 0;
    while (count < targets.size()) {
      bytes += inputs.bytes_of(targets[count].width) *
               static_cast<std::uint64_t>(targets[count].input.groups());
      if (count > 0 && bytes > kStatisticsBytes) break;
      ++count;
    }
    return count;
  }

  Expected<std::vector<quant::GptqFactors>> factors_of(const calibrate::GroupStatistics& statistics,
                                                       ThreadPool& pool) const {
    quant::GptqOptions options;
    options.damp = damp_;
    options.act_order = act_order_;
    options.static_groups = act_order_;
    options.asymmetry_share = asymmetry_;
    std::vector<quant::GptqFactors> factors;
    for (const calibrate::InputStatistics& group : statistics) {
      options.asymmetry = group.drift;
      THIMBLE_ASSIGN(quant::GptqFactors own,
                     quant::gptq_factors(group.gram, group.width, options, pool));
      factors.push_back(std::move(own));
    }
    return factors;
  }

  static std::int64_t tokens_of(const calibrate::GroupStatistics& statistics) {
    return statistics.front().tokens;
  }

  Expected<Result> quantize(Run& run, const Target& target,
                            std::span<const quant::GptqFactors> factors, std::int64_t tokens) {
    THIMBLE_TRY(system::check_interrupt());
    ir::Weight weight = run.model.weight(target.use.weight);
    THIMBLE_ASSIGN(const std::vector<float> matrix, read_matrix(weight, target.use.axis));
    weight.source->release(0, weight.rows());
    weight.encoding = target.encoding;
    auto done = gptq_matrix(matrix, factors, target.encoding, target.choice.settings.search,
                            run.context.pool);
    if (!done) return std::move(done).error().at_tensor(weight.name);
    const std::vector<double> figures = figures_of(*done, tokens);
    const calibrate::Journal* journal = run.context.calibration->journal();
    if (journal == nullptr)
      return from_finished({ir::owned_rows(weight, std::move(done->rows)), figures});
    THIMBLE_ASSIGN(calibrate::Finished finished,
                   journal->add(run.key, weight, done->rows, figures));
    return from_finished(std::move(finished));
  }

  // A weight that only quantize-weights takes. Without a rule of its own it is silently someone
  // else's.
  static void find_unfit(const ir::Weight& weight, const ir::WeightUse& use, const Choice& choice,
                         pass::PassReport& report) {
    if (choice.skip || choice.why == "default") return;
    const std::string what = use.gathered ? "an embedding" : "a recurrent operator's";
    report.findings.push_back(
        {FindingKind::kShape, weight.name, 0,
         "left as it is: it is " + what + ", not a product's; quantize-weights takes it",
         choice.why});
  }

  static void find_faults(const ir::Weight& weight, const Target& target, const Result& result,
                          pass::PassReport& report) {
    const std::string& rule = target.choice.why;
    find_poor_inputs(weight, static_cast<std::uint64_t>(result.dead), "theirs are rounded",
                     static_cast<std::int64_t>(result.tokens), target.width, rule, report);
    const auto zeros = static_cast<std::uint64_t>(result.zero_groups);
    find_other_shape(weight, target.choice.settings, weight.encoding, rule, report);
    if (zeros > 0) report.findings.push_back(zero_groups(weight.name, zeros, rule));
  }

  static void apply(Run& run, std::span<const Target> targets,
                    const std::map<std::uint32_t, Result>& results) {
    ActivationWishes activations;
    for (const Target& target : targets) {
      const Result& result = results.at(target.use.weight.index);
      remember_original(run.context, run.model, target.use.weight);
      ir::Weight& weight = run.model.weight(target.use.weight);
      weight.source = result.source;
      ir::set_encoding(run.model, target.use, target.encoding);
      activations.add(run.model, target.use, target.choice.settings.activation);
      find_faults(weight, target, result, run.report.current());
      pass::TensorDecision decision = decision_on(weight, target.choice.why);
      decision.error = result.error;
      decision.output_error = result.output_error;
      decision.rounding_output_error = result.rounding_output_error;
      run.report.current().decisions.push_back(std::move(decision));
      run.report.current().changes += 1;
      run.context.progress.advance(1);
    }
    activations.apply(run.model);
  }

  Rules rules_;
  double damp_ = 0.01;
  bool act_order_ = true;
  bool sequential_ = true;
  double asymmetry_ = 0;
};

std::vector<pass::OptionInfo> option_infos() {
  using pass::OptionType;
  std::vector<pass::OptionInfo> own = {
      {.name = "damp",
       .type = OptionType::kReal,
       .fallback = "0.01",
       .help = "added to the Hessian's diagonal, as a share of the diagonal's mean",
       .minimum = 1e-6,
       .maximum = 1},
      {.name = "act_order",
       .type = OptionType::kBool,
       .fallback = "true",
       .help = "inputs of most energy first; groups keep their scales and codes their places"},
      {.name = "sequential",
       .type = OptionType::kBool,
       .fallback = "true",
       .help = "calibrate a block on what the quantized blocks before it give; false: on the float "
               "model's values"},
      {.name = "asymmetry",
       .type = OptionType::kReal,
       .fallback = "0",
       .help =
           "share of GPTAQ's term, which has a block's codes make up for what the blocks before "
           "it lost; 1: all of it, 0: plain GPTQ (docs/asymmetry.md)",
       .minimum = 0,
       .maximum = 1},
  };
  return settled_options(group_size_option(), std::move(own));
}

}  // namespace

pass::Registration gptq() {
  return {{.name = "gptq",
           .summary = "Write weights of products and convolutions in 2 to 8 bits that change their "
                      "outputs least",
           .kind = pass::Kind::kLossy,
           .options = option_infos()},
          [] { return std::unique_ptr<pass::Pass>(new Gptq); }};
}

}  // namespace thimble::passes
