// quantize-weights: round-to-nearest with a scale per tensor, channel or group, its scales from the
// extremes or from a search for the least squared error. Weights are shared, so a tied embedding is
// decided on once.

#include "passes/quantize/quantize_weights.h"

#include <algorithm>
#include <map>
#include <vector>

#include "ir/match.h"
#include "pass/selector.h"
#include "quant/quantize.h"

namespace thimble::passes {
namespace {

using pass::OptionValue;

struct Settings {
  std::int64_t bits = 4;
  std::int64_t group_size = 32;  // 0: the whole row
  bool per_tensor = false;
  bool symmetric = true;
  ir::DType scale_type = ir::DType::kF16;
  quant::Search search = quant::Search::kMse;
  ir::ActivationScheme activation = ir::ActivationScheme::kInt8;
};

struct Rule {
  pass::Selector selector;
  Settings settings;
  bool skip = false;
  std::string text;  // "rule 2 (role: embedding)"
};

Error wrong(const OptionValue& value, std::string message) {
  Error error(ErrorCode::kInvalidRecipe, std::move(message));
  error.place = value.place;
  return error;
}

Status apply_group_size(const OptionValue& value, Settings& settings) {
  const auto* size = std::get_if<std::int64_t>(&value.value);
  settings.per_tensor = size == nullptr && *value.text() == "tensor";
  settings.group_size = size == nullptr ? 0 : *size;
  if (size == nullptr || *size == 16 || *size % 32 == 0) return ok();
  return wrong(value,
               "'group_size' is " + std::to_string(*size) + "; it must be 16 or a multiple of 32");
}

// One option that was checked already, over what is set so far.
Status apply(const std::string& key, const OptionValue& value, Settings& settings) {
  if (key == "bits") settings.bits = std::get<std::int64_t>(value.value);
  if (key == "group_size") THIMBLE_TRY(apply_group_size(value, settings));
  if (key == "symmetric") settings.symmetric = std::get<bool>(value.value);
  if (key == "scale") settings.scale_type = *ir::dtype_from_name(*value.text());
  if (key == "search")
    settings.search = *value.text() == "mse" ? quant::Search::kMse : quant::Search::kAbsmax;
  if (key == "activations") {
    settings.activation = *value.text() == "int8"    ? ir::ActivationScheme::kInt8
                          : *value.text() == "int16" ? ir::ActivationScheme::kInt16
                                                     : ir::ActivationScheme::kFloat;
  }
  return ok();
}

OptionValue selector_part(const OptionValue& rule) {
  OptionValue selector = rule;
  std::erase_if(std::get<OptionValue::Map>(selector.value),
                [](const auto& entry) { return !pass::Selector::is_key(entry.first); });
  return selector;
}

Expected<Rule> make_rule(const OptionValue& value, const Settings& base, std::size_t number) {
  Rule rule;
  const OptionValue selector = selector_part(value);
  THIMBLE_ASSIGN(rule.selector, pass::Selector::parse(selector));
  rule.settings = base;
  for (const auto& [key, item] : *value.map()) {
    if (key == "skip") rule.skip = std::get<bool>(item.value);
    THIMBLE_TRY(apply(key, item, rule.settings));
  }
  std::string text = selector.to_string();
  if (text.size() > 2) text = " (" + text.substr(1, text.size() - 2) + ")";
  rule.text = "rule " + std::to_string(number) + (text == "{}" ? "" : text);
  return rule;
}

ir::Encoding encoding_of(const Settings& settings, const ir::Weight& weight, int axis) {
  ir::Encoding e;
  e.kind = ir::EncodingKind::kAffine;
  e.bits = static_cast<int>(settings.bits);
  e.group_size = settings.group_size;
  e.per_tensor = settings.per_tensor;
  e.zero = settings.symmetric ? ir::ZeroKind::kConstant : ir::ZeroKind::kPoints;
  e.constant_zero = settings.symmetric ? 1 << (settings.bits - 1) : 0;
  e.scale_type = settings.scale_type;
  e.axis = axis + 1 == static_cast<int>(weight.dims.size()) ? -1 : axis;
  return e;
}

double bits_per_weight(const ir::Weight& weight) {
  const auto elements = static_cast<double>(weight.element_count());
  const std::uint64_t bits =
      weight.encoding.payload_bits(weight.rows(), weight.inputs(), weight.dtype);
  return elements == 0 ? 0 : static_cast<double>(bits) / elements;
}

pass::TensorDecision decision_on(const ir::Weight& weight, std::string why) {
  pass::TensorDecision decision;
  decision.tensor = weight.name;
  decision.scheme = weight.encoding.is_dense() ? std::string(ir::dtype_name(weight.dtype))
                                               : weight.encoding.to_string();
  decision.bits_per_weight = bits_per_weight(weight);
  decision.parameters = static_cast<std::uint64_t>(weight.element_count());
  decision.why = std::move(why);
  return decision;
}

// Of two uses of one value the more exact counts.
ir::ActivationScheme finer(ir::ActivationScheme a, ir::ActivationScheme b) {
  const auto is = [&](ir::ActivationScheme scheme) { return a == scheme || b == scheme; };
  if (is(ir::ActivationScheme::kFloat)) return ir::ActivationScheme::kFloat;
  return is(ir::ActivationScheme::kInt16) ? ir::ActivationScheme::kInt16
                                          : ir::ActivationScheme::kInt8;
}

class QuantizeWeights : public pass::Pass {
 public:
  Status configure(const pass::Options& options) override {
    for (const char* key : {"bits", "group_size", "symmetric", "scale", "search", "activations"}) {
      if (const OptionValue* value = options.find(key)) THIMBLE_TRY(apply(key, *value, base_));
    }
    requantize_ = options.boolean("requantize");
    if (const OptionValue* only = options.find("only")) {
      THIMBLE_ASSIGN(only_, pass::Selector::parse(*only));
    }
    if (const OptionValue* rules = options.find("rules")) {
      for (const OptionValue& value : *rules->list()) {
        THIMBLE_ASSIGN(Rule rule, make_rule(value, base_, rules_.size() + 1));
        rules_.push_back(std::move(rule));
      }
    }
    return ok();
  }

  Status run(ir::Model& model, pass::Context&, pass::Report& report) override {
    const std::vector<ir::WeightUse> uses = ir::quantizable_weights(model);
    int layers = 0;
    for (const ir::WeightUse& use : uses) layers = std::max(layers, use.layer + 1);
    std::vector<bool> matched(rules_.size());
    std::map<ir::ValueId, ir::ActivationScheme> activations;
    for (const ir::WeightUse& use : uses) {
      if (!only_.matches(model, use, layers)) continue;
      const auto rule = std::find_if(rules_.begin(), rules_.end(), [&](const Rule& candidate) {
        return candidate.selector.matches(model, use, layers);
      });
      const bool has_rule = rule != rules_.end();
      if (has_rule) matched[static_cast<std::size_t>(rule - rules_.begin())] = true;
      const std::string why = has_rule ? rule->text : "default";
      ir::Weight& weight = model.weight(use.weight);
      if (has_rule && rule->skip) {
        report.current().decisions.push_back(decision_on(weight, "skipped by " + why));
        continue;
      }
      const Settings& settings = has_rule ? rule->settings : base_;
      note_activations(model, use, settings, activations);
      if (stays_on_its_grid(weight, settings)) {
        report.current().decisions.push_back(decision_on(weight, "kept on its own grid"));
        continue;
      }
      THIMBLE_TRY(quantize(model, use, settings));
      report.current().decisions.push_back(decision_on(weight, why));
      report.current().changes += 1;
    }
    for (const auto& [value, scheme] : activations) model.graph.value(value).activation = scheme;
    warn(uses.empty(), report.current().changes, matched, report.current());
    return ok();
  }

 private:
  // A weight that comes quantized lies on its grid exactly: rounding it again at as many bits only
  // loses.
  bool stays_on_its_grid(const ir::Weight& weight, const Settings& settings) const {
    return !weight.encoding.is_dense() && settings.bits >= weight.encoding.bits && !requantize_;
  }

  static Status quantize(ir::Model& model, const ir::WeightUse& use, const Settings& settings) {
    ir::Weight& weight = model.weight(use.weight);
    const ir::Encoding encoding = encoding_of(settings, weight, use.axis);
    if (weight.source != nullptr) {  // none in a graph that was parsed from text
      quant::SearchOptions search;
      search.search = settings.search;
      THIMBLE_ASSIGN(weight.source, quant::quantized_source(weight, encoding, search));
    }
    weight.encoding = encoding;
    model.graph.value(use.value).dtype = ir::constant_type(model, weight);
    return ok();
  }

  static void note_activations(const ir::Model& model, const ir::WeightUse& use,
                               const Settings& settings,
                               std::map<ir::ValueId, ir::ActivationScheme>& activations) {
    for (const ir::NodeId node : use.nodes) {
      const std::optional<ir::Linear> linear = ir::match_linear(model, node);
      if (!linear) continue;
      const auto [place, is_new] = activations.emplace(linear->input, settings.activation);
      if (!is_new) place->second = finer(place->second, settings.activation);
    }
  }

  void warn(bool no_weights, std::int64_t changes, const std::vector<bool>& matched,
            pass::PassReport& report) const {
    if (no_weights || changes == 0) {
      report.warnings.push_back(no_weights
                                    ? "the model has no weights that a product or a Gather reads"
                                    : "no weight was quantized");
    }
    for (std::size_t i = 0; i < matched.size(); ++i) {
      if (!matched[i]) report.warnings.push_back(rules_[i].text + " applies to no weight");
    }
  }

  Settings base_;
  bool requantize_ = false;
  pass::Selector only_;
  std::vector<Rule> rules_;
};

std::vector<pass::OptionInfo> option_infos() {
  using pass::OptionType;
  return {
      {.name = "bits",
       .type = OptionType::kInteger,
       .fallback = "4",
       .unit = "bits",
       .help = "width of a code",
       .minimum = 2,
       .maximum = 8},
      {.name = "group_size",
       .type = OptionType::kIntegerOrWord,
       .fallback = "32",
       .unit = "inputs",
       .help = "inputs that share a scale: 16, a multiple of 32, a whole channel or the tensor",
       .minimum = 16,
       .maximum = 256,
       .words = {"channel", "tensor"}},
      {.name = "symmetric",
       .type = OptionType::kBool,
       .fallback = "true",
       .help = "codes around 0; false adds a zero point to each scale"},
      {.name = "scale",
       .type = OptionType::kWord,
       .fallback = "f16",
       .help = "type of the scales",
       .words = {"f16", "bf16", "f32"}},
      {.name = "search",
       .type = OptionType::kWord,
       .fallback = "mse",
       .help = "how scales are found: from the extremes, or by least squared error",
       .words = {"absmax", "mse"}},
      {.name = "activations",
       .type = OptionType::kWord,
       .fallback = "int8",
       .help = "how inputs of a quantized product are written; values that several products read "
               "take the finest",
       .words = {"float", "int8", "int16"}},
      {.name = "requantize",
       .type = OptionType::kBool,
       .fallback = "false",
       .help = "round weights again that come quantized in as few bits"},
      {.name = "only",
       .type = OptionType::kSelector,
       .help = "the weights to look at; others stay as they are"},
      {.name = "rules",
       .type = OptionType::kRules,
       .help =
           "selectors with options of their own, or `skip: true`; the first that matches counts"},
  };
}

}  // namespace

pass::Registration quantize_weights() {
  return {{.name = "quantize-weights",
           .summary = "Write weights of products and embeddings in 2 to 8 bits",
           .kind = pass::Kind::kLossy,
           .options = option_infos()},
          [] { return std::unique_ptr<pass::Pass>(new QuantizeWeights); }};
}

}  // namespace thimble::passes
