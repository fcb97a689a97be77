// gptq: the codes of a product's weight that change its outputs on the calibration least (Frantar
// et al. 2022, arXiv 2210.17323), block by block. Inputs of a block come from the blocks before it
// as they are quantized already, or from the float model; in the former case GPTAQ's term (Li et
// al. 2025, arXiv 2504.02692) can have the codes make up for how they drifted from the latter.
// Weights that products don't read, or that several blocks share, are left to quantize-weights.

#include "passes/quantize/gptq.h"

#include <algorithm>
#include <map>

#include "passes/quantize/gptq_inputs.h"
#include "passes/quantize/matrix.h"
#include "passes/quantize/settings.h"
#include "quant/decode.h"
#include "quant/gptq.h"
#include "quant/hessian.h"
#include "support/system.h"

namespace thimble::passes {
namespace {

using pass::FindingKind;

// What statistics of one run over a block, and one call of the algorithm, may take.
constexpr std::uint64_t kStatisticsBytes = std::uint64_t{1} << 30;
constexpr std::int64_t kWeightBytes = std::int64_t{512} << 20;

struct Target {
  ir::WeightUse use;
  Choice choice;
  ir::Encoding encoding;
  ir::ValueId input;
  std::int64_t width = 0;  // of the input
};

// What is known of a target once it is done. Figures are in the journal's order.
struct Result {
  std::shared_ptr<const ir::WeightSource> source;
  double error = 0, output_error = 0, rounding_output_error = 0;
  double dead = 0, zero_groups = 0, tokens = 0;  // counts
};
constexpr std::size_t kFigures = 6;

Result from_journal(calibrate::Finished finished) {
  const std::vector<double>& f = finished.figures;
  return {std::move(finished.source), f.at(0), f.at(1), f.at(2), f.at(3), f.at(4), f.at(5)};
}

std::vector<double> figures_of(const Result& r) {
  return {r.error, r.output_error, r.rounding_output_error, r.dead, r.zero_groups, r.tokens};
}

double ratio(double part, double whole) { return whole == 0 ? 0 : part / whole; }

void append(ir::Rows& all, const ir::Rows& part) {
  const auto add = [](auto& to, const auto& from) {
    to.insert(to.end(), from.begin(), from.end());
  };
  all.count += part.count;
  add(all.codes, part.codes);
  add(all.scales, part.scales);
  add(all.zero_points, part.zero_points);
  add(all.sub_scales, part.sub_scales);
}

struct Errors {
  double noise = 0, signal = 0;
};

Expected<Errors> plain_errors(std::span<const float> weights, std::int64_t inputs,
                              const ir::Encoding& encoding, const ir::Rows& rows) {
  std::vector<float> decoded(weights.size());
  THIMBLE_TRY(quant::decode_rows(encoding, rows, rows.count, inputs, decoded.data()));
  Errors errors;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double w = weights[i], e = w - decoded[i];
    errors.noise += e * e;
    errors.signal += w * w;
  }
  return errors;
}

class Gptq : public pass::Pass {
 public:
  Status configure(const pass::Options& options) override {
    damp_ = options.real("damp");
    act_order_ = options.boolean("act_order");
    sequential_ = options.boolean("sequential");
    asymmetry_ = options.real("asymmetry");
    if (asymmetry_ > 0 && !sequential_) {
      return wrong(*options.find("asymmetry"),
                   "'asymmetry' needs `sequential: true`: the float model's inputs don't drift");
    }
    return rules_.configure(options);
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
    if (context.calibration == nullptr)
      return invalid_argument("gptq needs a calibration").fix(kCalibrateRemedy);
    Run run{model, context, report, journal_key(report)};
    THIMBLE_ASSIGN(GptqInputs inputs, GptqInputs::create(model, context, asymmetry_ > 0));
    context.progress.begin("gptq", static_cast<double>(targets.size()), "weights");
    auto next = targets.begin();
    while (next != targets.end() && !inputs.done()) {
      const auto end = std::stable_partition(
          next, targets.end(), [&](const Target& target) { return reads(inputs.block(), target); });
      THIMBLE_TRY(quantize_block(run, inputs, std::span(next, end), end == targets.end()));
      next = end;
    }
    for (; next != targets.end(); ++next) {
      report.current().findings.push_back(
          {FindingKind::kLeftAsIs, model.weight(next->use.weight).name, 0,
           "left as it is: what it multiplies is constant", next->choice.why});
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

  static std::string journal_key(const pass::Report& report) {
    std::string key = "gptq " + std::to_string(report.passes.size());
    for (const auto& [name, value] : report.passes.back().options) key += " " + name + "=" + value;
    return key;
  }

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
      if (use.gathered || use.convolved || use.recurrent) {
        find_unfit(weight, use, *choice, report);
        continue;
      }
      if (choice->skip) {
        report.decisions.push_back(decision_on(weight, "skipped by " + choice->why));
        report.decisions.back().kept = true;
        continue;
      }
      if (use.nodes.size() > 1) {
        report.findings.push_back({FindingKind::kLeftAsIs, weight.name, 0,
                                   "left as it is: several products share it", choice->why});
        continue;
      }
      THIMBLE_TRY(rules_.settle(model, use, false, context, *choice));
      const bool own_grid =
          !weight.encoding.is_dense() && choice->settings.bits >= weight.encoding.bits;
      if (choice->as_it_is || own_grid) {
        report.decisions.push_back(
            decision_on(weight, choice->as_it_is ? choice->why : "kept on its own grid"));
        report.decisions.back().kept = true;
        continue;
      }
      const auto linear = ir::match_linear(model, use.nodes.front());
      THIMBLE_CHECK(linear, "a weight that isn't gathered is multiplied");
      ir::Encoding encoding = choice->settings.encoding(weight, use.axis);
      if (!context.dry_run) {
        THIMBLE_ASSIGN(encoding, choice->settings.fitted_encoding(weight, use.axis));
      }
      targets.push_back({use, *choice, encoding, linear->input, linear->inputs});
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
      weight.encoding = target.encoding;
      model.graph.value(target.use.value).dtype = ir::constant_type(model, weight);
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
      std::vector<ir::ValueId> values;
      for (std::size_t i = at; i < at + count; ++i) values.push_back(wanted[i].input);
      at += count;
      THIMBLE_ASSIGN(const calibrate::Statistics statistics,
                     inputs.observe(values, at == wanted.size()));
      for (const Target& target : targets) {
        const auto found = statistics.find(target.input);
        if (found == statistics.end() || results.contains(target.use.weight.index)) continue;
        THIMBLE_ASSIGN(Result result, quantize(run, target, found->second));
        results.emplace(target.use.weight.index, std::move(result));
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
    return from_journal(*std::move(finished));
  }

  // How many of the targets' inputs fit the memory for statistics; at least one.
  static std::size_t group_size(const GptqInputs& inputs, std::span<const Target> targets) {
    std::uint64_t bytes = 0;
    std::size_t count = 0;
    while (count < targets.size()) {
      bytes += inputs.bytes_of(targets[count].width);
      if (count > 0 && bytes > kStatisticsBytes) break;
      ++count;
    }
    return count;
  }

  Expected<Result> quantize(Run& run, const Target& target,
                            const calibrate::InputStatistics& statistics) {
    if (system::interrupted()) return Error(ErrorCode::kInterrupted, "interrupted");
    ir::Weight weight = run.model.weight(target.use.weight);
    THIMBLE_ASSIGN(const std::vector<float> matrix, read_matrix(weight, target.use.axis));
    weight.source->release(0, weight.rows());
    weight.encoding = target.encoding;
    ir::Rows rows;
    THIMBLE_ASSIGN(const Result errors, quantize_matrix(run, target, matrix, statistics, rows));
    const calibrate::Journal* journal = run.context.calibration->journal();
    if (journal == nullptr) {
      Result result = errors;
      result.source = ir::owned_rows(weight, std::move(rows));
      return result;
    }
    THIMBLE_ASSIGN(calibrate::Finished finished,
                   journal->add(run.key, weight, rows, figures_of(errors)));
    return from_journal(std::move(finished));
  }

  // Rows don't depend on each other: as many at a time as memory allows.
  Expected<Result> quantize_matrix(Run& run, const Target& target, std::span<const float> matrix,
                                   const calibrate::InputStatistics& statistics, ir::Rows& rows) {
    const std::int64_t inputs = statistics.width;
    const std::int64_t total = static_cast<std::int64_t>(matrix.size()) / inputs;
    const std::int64_t step = std::max<std::int64_t>(16, kWeightBytes / (16 * inputs) / 16 * 16);
    quant::GptqOptions options;
    options.damp = damp_;
    options.act_order = act_order_;
    options.static_groups = act_order_;
    options.search = target.choice.settings.search;
    options.asymmetry = statistics.drift;
    options.asymmetry_share = asymmetry_;
    THIMBLE_ASSIGN(const quant::Hessian hessian, quant::Hessian::make(statistics.gram, inputs));
    Errors plain;
    double error = 0, rounding = 0, signal = 0;
    std::uint64_t dead = 0, zero_groups = 0;
    for (std::int64_t row = 0; row < total; row += step) {
      const std::int64_t count = std::min(step, total - row);
      const auto part = matrix.subspan(static_cast<std::size_t>(row * inputs),
                                       static_cast<std::size_t>(count * inputs));
      auto done = quant::gptq(part, count, inputs, statistics.gram, target.encoding, options,
                              run.context.pool);
      if (!done) return std::move(done).error().at_tensor(run.model.weight(target.use.weight).name);
      THIMBLE_ASSIGN(const Errors errors, plain_errors(part, inputs, target.encoding, done->rows));
      plain.noise += errors.noise;
      plain.signal += errors.signal;
      error += done->error;
      rounding += done->rounding_error;
      signal += hessian.error(part, count, run.context.pool);
      dead = done->dead.size();
      zero_groups += quant::count_zero_groups(part, inputs, target.encoding);
      append(rows, done->rows);
    }
    return Result{nullptr,
                  ratio(plain.noise, plain.signal),
                  ratio(error, signal),
                  ratio(rounding, signal),
                  static_cast<double>(dead),
                  static_cast<double>(zero_groups),
                  static_cast<double>(statistics.tokens)};
  }

  // A weight that only quantize-weights takes. Without a rule of its own it is silently someone
  // else's.
  static void find_unfit(const ir::Weight& weight, const ir::WeightUse& use, const Choice& choice,
                         pass::PassReport& report) {
    if (choice.skip || choice.why == "default") return;
    const std::string what = use.gathered    ? "an embedding"
                             : use.convolved ? "a convolution's"
                                             : "a recurrent operator's";
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
      weight.encoding = target.encoding;
      run.model.graph.value(target.use.value).dtype = ir::constant_type(run.model, weight);
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
  return {
      open_to_budget(bits_option()),
      open_to_budget(group_size_option(false)),
      open_to_budget(symmetric_option()),
      open_to_budget(sub_scale_bits_option()),
      open_to_budget(codes_option()),
      scale_option(),
      search_option(),
      activations_option(),
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
       .help = "calibrate a layer on what the quantized layers before it give; false: on the float "
               "model's values"},
      {.name = "asymmetry",
       .type = OptionType::kReal,
       .fallback = "0",
       .help =
           "share of GPTAQ's term, which has a layer's codes make up for what the layers before "
           "it lost; 1: all of it, 0: plain GPTQ (docs/asymmetry.md)",
       .minimum = 0,
       .maximum = 1},
      only_option(),
      rules_option(),
  };
}

}  // namespace

pass::Registration gptq() {
  return {{.name = "gptq",
           .summary = "Write weights of products in 2 to 8 bits that change their outputs least",
           .kind = pass::Kind::kLossy,
           .options = option_infos()},
          [] { return std::unique_ptr<pass::Pass>(new Gptq); }};
}

}  // namespace thimble::passes
