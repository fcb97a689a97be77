#include "tools/thimble/budget.h"

#include <algorithm>

#include "allocate/allocate.h"
#include "calibrate/teacher.h"
#include "eval/score.h"
#include "formats/thimble/writer.h"
#include "lower/lower.h"
#include "support/math.h"
#include "tools/thimble/budget_work.h"
#include "tools/thimble/calibration.h"
#include "tools/thimble/evaluation.h"
#include "tools/thimble/metadata.h"
#include "tools/thimble/open.h"

namespace thimble::cli {
namespace {

constexpr std::size_t kFrontPoints = 24;
constexpr std::int64_t kUnaskedTokens = 4096;  // that a model writes where no text was named

// What the file will say beside its weights. Metrics have as many digits as they like: those that
// will be measured are counted at their longest, a few bytes each.
program::Metadata with_metrics(const BudgetRequest& request, const recipe::Recipe& recipe,
                               ir::Task task) {
  program::Metadata metadata = request.metadata;
  const auto add = [&](const std::string& name, const char* longest) {
    metadata.emplace_back(metric_key(name), longest);
  };
  for (const std::string& name : metrics_of(recipe.evaluation, task)) add(name, "-1.23456789e-10");
  add("bits_per_weight", "0.123456789");
  if (is_thimble_target(request.target)) add("size", "123456789012");
  return metadata;
}

// What a size bounds.
Expected<std::uint64_t> target_bytes(const ir::Model& model, const recipe::Recipe& recipe,
                                     const BudgetRequest& request) {
  program::Metadata metadata = with_metrics(request, recipe, model.task);
  if (is_thimble_target(request.target)) {
    THIMBLE_ASSIGN(lower::Lowered lowered, lower::lower(model));
    set_caches(recipe, model, lowered.program);
    return formats::thimble_bytes(std::move(lowered.program), lower::describe(model),
                                  std::move(metadata));
  }
  THIMBLE_ASSIGN(
      const formats::WrittenBytes written,
      formats::written_bytes(model, request.output, with_provenance(request.target, metadata)));
  return written.all;
}

// A text's windows as calibration cuts them; decoders give the logits of their second halves only.
Expected<std::vector<calibrate::Sample>> samples_of(const ir::Model& model, const std::string& text,
                                                    std::int64_t tokens, std::int64_t context) {
  THIMBLE_ASSIGN(const calibrate::Calibration all,
                 calibrate::Calibration::from_text(model, text, {tokens, context}));
  std::vector<calibrate::Sample> samples(all.samples().begin(), all.samples().end());
  for (calibrate::Sample& sample : samples) {
    const auto found = sample.find("logit_positions");
    if (found == sample.end() || found->second.dims.size() != 1) continue;
    calibrate::Held& held = found->second;
    const std::int64_t count = held.dims[0], half = count / 2;
    const auto bytes = std::span(*held.bytes).subspan(static_cast<std::size_t>(half) * 8);
    held.bytes = std::make_shared<const std::vector<std::byte>>(bytes.begin(), bytes.end());
    held.dims[0] = count - half;
  }
  return samples;
}

Expected<std::vector<data::Window>> windows_of(const ir::Model& model, const recipe::Recipe& recipe,
                                               const std::string& text) {
  THIMBLE_ASSIGN(const auto tokenizer, tokenizer::Tokenizer::load(model.tokenizer));
  data::WindowOptions options;
  if (recipe.tune.context > 0) options.context = recipe.tune.context;
  if (model.max_context > 0) options.context = std::min(options.context, model.max_context);
  options.max_windows = std::max<std::int64_t>(1, recipe.tune.tokens / options.context);
  return data::make_windows(text, tokenizer, options);
}

Expected<double> kl_of(const Prepared& prepared, const recipe::Recipe& recipe,
                       const std::string& tune, const program::Bundle& candidate,
                       Environment& environment) {
  THIMBLE_ASSIGN(const auto windows, windows_of(prepared.original, recipe, tune));
  THIMBLE_ASSIGN(const program::Bundle reference, lower::load(prepared.original, environment.pool));
  THIMBLE_ASSIGN(const eval::Scores scores,
                 eval::score_text(candidate, &reference, windows, environment.pool, {}));
  return eval::mean_kl(scores).value;
}

// For sizes alone: a bit more halves an error, everywhere.
void guess_costs(allocate::Survey& survey) {
  for (std::size_t w = 0; w < survey.items.size(); ++w) {
    for (std::size_t o = 0; o < survey.items[w].size(); ++o) {
      const ir::Encoding& encoding = survey.weights[w].wish.offers[o].encoding;
      const auto bytes = static_cast<double>(survey.items[w].front().bytes);
      survey.items[w][o].cost = encoding.is_dense()
                                    ? 0
                                    : bytes * math::pow(0.25, static_cast<double>(encoding.bits)) *
                                          (encoding.zero == ir::ZeroKind::kConstant ? 1 : 0.9);
    }
  }
}

// What a choice comes to differs a little from the sum of what was counted, by the header's size
// and by what weights share: solved again with that.
Expected<allocate::Selection> fit(const allocate::Request& request, const allocate::Survey& survey,
                                  std::uint64_t limit) {
  std::optional<allocate::Selection> best;
  std::uint64_t wanted = limit;
  for (int turn = 0; turn < 8; ++turn) {
    const std::uint64_t least = survey.fixed + allocate::smallest(survey.items).bytes;
    allocate::Selection selection = allocate::for_size(survey, std::max(wanted, least));
    THIMBLE_ASSIGN(const ir::Model model, allocate::preview(request, survey, selection));
    THIMBLE_ASSIGN(const std::uint64_t actual, request.bytes(model));
    const bool fits = actual <= limit;
    if (fits && (!best || selection.cost < best->cost)) best = selection;
    if (fits && limit - actual < limit / 1000) break;
    const auto off = static_cast<std::int64_t>(actual) -
                     static_cast<std::int64_t>(survey.fixed + selection.bytes);
    const auto next = static_cast<std::uint64_t>(static_cast<std::int64_t>(limit) - off);
    if (next == wanted) break;
    wanted = next;
  }
  if (!best) {
    return Error(ErrorCode::kInvalidArgument, "the budget '" + request.budget.text +
                                                  "' is a few bytes short of what is possible")
        .fix("ask for a little more");
  }
  return *std::move(best);
}

class Chooser {
 public:
  Chooser(Prepared& prepared, const recipe::Recipe& recipe, const BudgetRequest& request,
          const allocate::Request& choices, Environment& environment)
      : prepared_(prepared),
        recipe_(recipe),
        request_(request),
        choices_(choices),
        environment_(environment) {}

  // Refuses a budget below what the passes allow.
  Status check() const {
    if (recipe_.budget.kind == pass::BudgetKind::kKlMean) return ok();
    THIMBLE_ASSIGN(const allocate::Survey survey, allocate::survey(choices_));
    THIMBLE_TRY(allocate::limit_of(choices_, survey, prepared_.original.parameter_count()));
    return ok();
  }

  Expected<std::unique_ptr<allocate::Allocation>> choose() {
    THIMBLE_ASSIGN(allocate::Survey survey, allocate::survey(choices_));
    if (request_.work != nullptr) count_offers(survey, choices_.model, *request_.work);
    pass::BudgetReport& report = prepared_.report.budget;
    report.budget = recipe_.budget.text;
    report.smallest = survey.fixed + allocate::smallest(survey.items).bytes;
    const bool bounded = recipe_.budget.kind != pass::BudgetKind::kKlMean;
    if (bounded) {
      THIMBLE_ASSIGN(report.limit,
                     allocate::limit_of(choices_, survey, prepared_.original.parameter_count()));
    }
    if (request_.passes.dry_run) {
      guess_costs(survey);
    } else {
      THIMBLE_TRY(measure(survey));
      report.front = allocate::front_of(survey, kFrontPoints);
    }
    THIMBLE_ASSIGN(const allocate::Selection selection, select(survey, bounded));
    report.front.push_back({survey.fixed + selection.bytes, selection.cost, std::nullopt, true});
    std::stable_sort(report.front.begin(), report.front.end(),
                     [](const auto& a, const auto& b) { return a.bytes < b.bytes; });
    return std::make_unique<allocate::Allocation>(survey, selection);
  }

 private:
  Expected<allocate::Selection> select(const allocate::Survey& survey, bool bounded) {
    if (bounded) return fit(choices_, survey, prepared_.report.budget.limit);
    if (request_.passes.dry_run) return allocate::smallest(survey.items);
    const auto measured = [&](const allocate::Selection& selection) -> Expected<double> {
      THIMBLE_ASSIGN(const ir::Model model, allocate::preview(choices_, survey, selection));
      THIMBLE_ASSIGN(program::Bundle bundle, lower::load(model, environment_.pool));
      set_caches(recipe_, model, bundle.program);
      return kl_of(prepared_, recipe_, request_.tune, bundle, environment_);
    };
    return allocate::for_divergence(survey, recipe_.budget.value, measured,
                                    prepared_.report.budget.front);
  }

  Expected<std::vector<calibrate::Sample>> tune_samples(const allocate::Survey& survey) const {
    const ir::Model& model = prepared_.original;
    if (const recipe::DataSet& set = recipe_.tune.data; !set.empty()) {
      THIMBLE_ASSIGN(const calibrate::Calibration all,
                     samples_of_data(model, set, measured_calls(model, set), environment_.pool));
      return std::vector<calibrate::Sample>(all.samples().begin(), all.samples().end());
    }
    const std::int64_t tokens = measured_tokens(model, recipe_, survey.weights.size());
    auto samples = samples_of(model, request_.tune, tokens, recipe_.tune.context);
    if (!samples) return std::move(samples).error().in(recipe_.tune.text);
    return samples;
  }

  Status measure(allocate::Survey& survey) {
    THIMBLE_ASSIGN(const auto samples, tune_samples(survey));
    return allocate::estimate(choices_, samples, request_.measurements, survey);
  }

  Prepared& prepared_;
  const recipe::Recipe& recipe_;
  const BudgetRequest& request_;
  const allocate::Request& choices_;
  Environment& environment_;
};

}  // namespace

bool has_budget(const recipe::Recipe& recipe, const pass::ManagerOptions& manager) {
  return recipe.budget.kind != pass::BudgetKind::kNone ||
         pass::first_open(pass::wanted_steps(recipe.passes, manager)) != nullptr;
}

Status check_choice(const recipe::Recipe& recipe, const pass::ManagerOptions& manager) {
  const std::vector<pass::Step> steps = pass::wanted_steps(recipe.passes, manager);
  const pass::Step* open = pass::first_open(steps);
  if (open == nullptr) {
    return Error(ErrorCode::kInvalidRecipe,
                 "the budget '" + recipe.budget.text + "' has nothing to choose")
        .in(recipe.name)
        .fix("give `bits: auto` to quantize-weights or gptq, or use the recipe 'budget'");
  }
  if (recipe.budget.kind == pass::BudgetKind::kNone) {
    return Error(ErrorCode::kInvalidRecipe,
                 "the pass '" + open->registration->info.name +
                     "' leaves a choice to the budget, and there is none")
        .in(recipe.name)
        .fix("add `budget: {size: 60MB}` to the recipe, or give --size");
  }
  return ok();
}

Expected<std::string> tune_text(const recipe::Recipe& recipe, const ir::Model& model) {
  const bool writes = model.task == ir::Task::kGenerate && !model.tokenizer.empty();
  const bool by_kl = recipe.budget.kind == pass::BudgetKind::kKlMean;
  if (by_kl && (!writes || !recipe.tune.data.empty())) {
    return Error(ErrorCode::kInvalidRecipe,
                 "the budget '" + recipe.budget.text +
                     "' is of a language model's next tokens, measured on a text")
        .in(recipe.name)
        .fix(writes ? "give a text to tune on" : "give a `size` or `bits_per_weight`");
  }
  if (!recipe.tune.text.empty()) return data::read_text(recipe.tune.text);
  if (writes || !recipe.tune.data.empty()) return std::string();
  return Error(ErrorCode::kInvalidRecipe, "a budget measures on data, and the recipe has none")
      .in(recipe.name)
      .fix(model.tokenizer.empty()
               ? "add `tune: {npz: FILE}` to the recipe (or idx, images, wav, onnx_test_data), or "
                 "give --tune FILE.npz; not the data that score"
               : "add `tune: {text: FILE}` to the recipe, or give --tune FILE; not the text that "
                 "scores");
}

Expected<std::string> write_tune(const recipe::Recipe& recipe, const ir::Model& model,
                                 const calibrate::Journal* journal, Environment& environment) {
  calibrate::TextOptions options{recipe.tune.tokens, recipe.tune.context};
  if (!recipe.tune.teacher) {
    options.tokens = std::min(options.tokens, kUnaskedTokens);
    environment.progress.message("note: no text to tune on is named, so the model writes " +
                                 std::to_string(options.tokens) +
                                 " tokens; --tune FILE is faster and nearer to what you score");
  }
  THIMBLE_ASSIGN(const auto windows,
                 calibrate::write_windows(model, options, recipe.seed, "tune", journal,
                                          environment.pool, environment.progress));
  THIMBLE_ASSIGN(const auto tokenizer, tokenizer::Tokenizer::load(model.tokenizer));
  std::string text;
  for (const data::Window& window : windows) text += tokenizer.decode(window.tokens) + "\n";
  return text;
}

Status run_to_budget(Prepared& prepared, const recipe::Recipe& recipe, const BudgetRequest& request,
                     Environment& environment) {
  const std::vector<pass::Step> steps = pass::wanted_steps(recipe.passes, request.passes.manager);
  const pass::Step* open = pass::first_open(steps);
  THIMBLE_CHECK(open != nullptr, "check_choice refuses a budget without a choice");
  const auto before = static_cast<std::size_t>(open - steps.data());
  pass::ManagerOptions manager;
  manager.print_after = request.passes.manager.print_after;
  pass::Context context = context_of(request.passes, recipe, environment);
  THIMBLE_TRY(pass::run_passes(prepared.model, std::span(steps).first(before), context, manager,
                               prepared.report));
  const bool bits = recipe.budget.kind == pass::BudgetKind::kBitsPerWeight;
  const ir::Model start = prepared.model;
  allocate::Request choices{start,
                            std::span<const pass::Step>(steps).subspan(before),
                            prepared.report,
                            context,
                            recipe.budget,
                            [&](const ir::Model& model) {
                              return bits ? payload_bytes(model, request.target)
                                          : target_bytes(model, recipe, request);
                            }};
  if (!is_thimble_target(request.target) && !formats::writes_floats(request.target)) {
    choices.weight_bytes = [&](const ir::Weight& weight) {
      return formats::stored_bytes(weight, request.target);
    };
  }
  Chooser chooser(prepared, recipe, request, choices, environment);
  if (request.only_possible) return chooser.check();
  THIMBLE_ASSIGN(const auto allocation, chooser.choose());
  context.allocator = allocation.get();
  THIMBLE_TRY(pass::run_passes(prepared.model, choices.steps, context, manager, prepared.report));
  warn_user(prepared.report, environment);
  return ok();
}

Status verify_budget(Prepared& prepared, const recipe::Recipe& recipe, const std::string& tune,
                     const program::Bundle& artifact, Environment& environment) {
  if (prepared.original.task != ir::Task::kGenerate || tune.empty()) return ok();
  THIMBLE_ASSIGN(const double kl, kl_of(prepared, recipe, tune, artifact, environment));
  for (pass::BudgetPoint& point : prepared.report.budget.front) {
    if (point.chosen) point.measured = kl;
  }
  return ok();
}

}  // namespace thimble::cli
