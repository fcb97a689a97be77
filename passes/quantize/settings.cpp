#include "passes/quantize/settings.h"

#include <algorithm>

namespace thimble::passes {
namespace {

using pass::OptionType;
using pass::OptionValue;

Error wrong(const OptionValue& value, std::string message) {
  Error error(ErrorCode::kInvalidRecipe, std::move(message));
  error.place = value.place;
  return error;
}

bool is_auto(const OptionValue& value) {
  return value.text() != nullptr && *value.text() == "auto";
}

void apply_bits(const OptionValue& value, Settings& settings) {
  settings.open.bits = is_auto(value);
  settings.bits = settings.open.bits ? 0 : std::get<std::int64_t>(value.value);
}

void apply_symmetric(const OptionValue& value, Settings& settings) {
  settings.open.symmetric = is_auto(value);
  if (!settings.open.symmetric) settings.symmetric = std::get<bool>(value.value);
}

Status apply_group_size(const OptionValue& value, Settings& settings) {
  const auto* size = std::get_if<std::int64_t>(&value.value);
  settings.open.group_size = is_auto(value);
  if (settings.open.group_size) return ok();
  settings.per_tensor = size == nullptr && *value.text() == "tensor";
  settings.group_size = size == nullptr ? 0 : *size;
  if (size == nullptr || *size == 16 || *size % 32 == 0) return ok();
  return wrong(value,
               "'group_size' is " + std::to_string(*size) + "; it must be 16 or a multiple of 32");
}

// One option that was checked already, over what is set so far.
Status apply(const std::string& key, const OptionValue& value, Settings& settings) {
  if (key == "bits") apply_bits(value, settings);
  if (key == "group_size") THIMBLE_TRY(apply_group_size(value, settings));
  if (key == "symmetric") apply_symmetric(value, settings);
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

double bits_per_weight(const ir::Weight& weight) {
  const auto elements = static_cast<double>(weight.element_count());
  const std::uint64_t bits =
      weight.encoding.payload_bits(weight.rows(), weight.inputs(), weight.dtype);
  return elements == 0 ? 0 : static_cast<double>(bits) / elements;
}

// Of two uses of one value the more exact counts.
ir::ActivationScheme finer(ir::ActivationScheme a, ir::ActivationScheme b) {
  const auto is = [&](ir::ActivationScheme scheme) { return a == scheme || b == scheme; };
  if (is(ir::ActivationScheme::kFloat)) return ir::ActivationScheme::kFloat;
  return is(ir::ActivationScheme::kInt16) ? ir::ActivationScheme::kInt16
                                          : ir::ActivationScheme::kInt8;
}

// What the open settings can be, with the closed ones as they are.
std::vector<Settings> every_setting(const Settings& base, const ir::Weight& weight, int axis) {
  const std::int64_t inputs = weight.dims[static_cast<std::size_t>(axis)];
  std::vector<std::int64_t> bits = {base.bits}, groups = {base.group_size};
  std::vector<bool> symmetric = {base.symmetric};
  if (base.open.bits) bits = {2, 3, 4, 5, 6, 7, 8};
  if (base.open.group_size) {
    groups = {16, 32, 64, 128, 256};
    std::erase_if(groups, [&](std::int64_t group) { return group >= inputs; });
    groups.push_back(0);
  }
  if (base.open.symmetric) symmetric = {true, false};
  std::vector<Settings> all;
  for (const std::int64_t b : bits) {
    for (const std::int64_t group : groups) {
      for (const bool around_zero : symmetric) {
        all.push_back(base);
        all.back().bits = b;
        all.back().group_size = group;
        all.back().symmetric = around_zero;
        if (base.open.group_size) all.back().per_tensor = false;
        all.back().open = {};
      }
    }
  }
  return all;
}

}  // namespace

ir::Encoding Settings::encoding(const ir::Weight& weight, int axis) const {
  ir::Encoding e;
  e.kind = ir::EncodingKind::kAffine;
  e.bits = static_cast<int>(bits);
  e.group_size = group_size;
  e.per_tensor = per_tensor;
  e.zero = symmetric ? ir::ZeroKind::kConstant : ir::ZeroKind::kPoints;
  e.constant_zero = symmetric ? 1 << (bits - 1) : 0;
  e.scale_type = scale_type;
  e.flat = weight.dims.size() > 2;  // a convolution's
  e.axis = e.flat || axis + 1 == static_cast<int>(weight.dims.size()) ? -1 : axis;
  return e;
}

Expected<Rules::Rule> Rules::make_rule(const OptionValue& value, const Settings& base,
                                       std::size_t number) {
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

Status Rules::configure(const pass::Options& options) {
  for (const char* key : {"bits", "group_size", "symmetric", "scale", "search", "activations"}) {
    if (const OptionValue* value = options.find(key)) THIMBLE_TRY(apply(key, *value, base_));
  }
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

void Rules::begin(const std::vector<ir::WeightUse>& uses) {
  layers_ = 0;
  for (const ir::WeightUse& use : uses) layers_ = std::max(layers_, use.layer + 1);
  matched_.assign(rules_.size(), false);
}

std::optional<Choice> Rules::choose(const ir::Model& model, const ir::WeightUse& use) {
  if (!only_.matches(model, use, layers_)) return std::nullopt;
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    if (!rules_[i].selector.matches(model, use, layers_)) continue;
    matched_[i] = true;
    return Choice{rules_[i].settings, rules_[i].skip, rules_[i].text};
  }
  return Choice{base_, false, "default"};
}

bool Rules::open() const {
  return base_.open.any() || std::any_of(rules_.begin(), rules_.end(), [](const Rule& rule) {
           return !rule.skip && rule.settings.open.any();
         });
}

Status Rules::settle(const ir::Model& model, const ir::WeightUse& use, bool requantize,
                     pass::Context& context, Choice& choice) const {
  const OpenSettings open = choice.settings.open;
  if (!open.any() || choice.skip) return ok();
  THIMBLE_CHECK(context.allocator != nullptr, "the manager gives an allocator to who leaves open");
  const ir::Weight& weight = model.weight(use.weight);
  const bool own_grid = !weight.encoding.is_dense() && !requantize;
  std::vector<Settings> offered;
  pass::OpenWeight wish{use.weight, use.axis, choice.settings.search == quant::Search::kMse, {}};
  for (const Settings& settings : every_setting(choice.settings, weight, use.axis)) {
    if (own_grid && settings.bits >= weight.encoding.bits) continue;
    offered.push_back(settings);
    wish.encodings.push_back(settings.encoding(weight, use.axis));
  }
  const bool affordable = weight.encoding.is_dense() && ir::dtype_bits(weight.dtype) <= 16;
  if (own_grid || (open.bits && affordable)) wish.encodings.push_back(ir::Encoding::dense());
  if (wish.encodings.empty()) return ok();
  THIMBLE_ASSIGN(const pass::Allotment allotted, context.allocator->choose(model, wish));
  choice.as_it_is = allotted.encoding >= offered.size();
  if (!choice.as_it_is) choice.settings = offered[allotted.encoding];
  choice.why += "; " + allotted.why;
  return ok();
}

void Rules::warn_unused(pass::PassReport& report) const {
  for (std::size_t i = 0; i < matched_.size(); ++i) {
    if (!matched_[i]) report.warnings.push_back(rules_[i].text + " applies to no weight");
  }
}

void ActivationWishes::add(const ir::Model& model, const ir::WeightUse& use,
                           ir::ActivationScheme scheme) {
  for (const ir::NodeId node : use.nodes) {
    const auto linear = ir::match_linear(model, node);
    const auto conv = ir::match_convolution(model, node);
    if (!linear && !conv) continue;
    const auto [place, is_new] = schemes_.emplace(linear ? linear->input : conv->input, scheme);
    if (!is_new) place->second = finer(place->second, scheme);
  }
}

void ActivationWishes::apply(ir::Model& model) const {
  for (const auto& [value, scheme] : schemes_) model.graph.value(value).activation = scheme;
}

void remember_original(pass::Context& context, const ir::Model& model, ir::WeightId weight) {
  if (model.weight(weight).encoding.is_dense())
    context.originals.emplace(weight.index, model.weight(weight));
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

pass::OptionInfo open_to_budget(pass::OptionInfo option) {
  if (option.type == OptionType::kInteger) option.type = OptionType::kIntegerOrWord;
  option.words.push_back("auto");
  return option;
}

pass::OptionInfo bits_option() {
  return {.name = "bits",
          .type = OptionType::kInteger,
          .fallback = "4",
          .unit = "bits",
          .help = "width of a code",
          .minimum = 2,
          .maximum = 8};
}

pass::OptionInfo symmetric_option() {
  return {.name = "symmetric",
          .type = OptionType::kBool,
          .fallback = "true",
          .help = "codes around 0; false adds a zero point to each scale"};
}

pass::OptionInfo scale_option() {
  return {.name = "scale",
          .type = OptionType::kWord,
          .fallback = "f16",
          .help = "type of the scales",
          .words = {"f16", "bf16", "f32"}};
}

pass::OptionInfo search_option() {
  return {.name = "search",
          .type = OptionType::kWord,
          .fallback = "mse",
          .help = "how scales are found: from the extremes, or by least squared error",
          .words = {"absmax", "mse"}};
}

pass::OptionInfo activations_option() {
  return {.name = "activations",
          .type = OptionType::kWord,
          .fallback = "int8",
          .help =
              "how inputs of a quantized product are written; values that several products read "
              "take the finest",
          .words = {"float", "int8", "int16"}};
}

pass::OptionInfo only_option() {
  return {.name = "only",
          .type = OptionType::kSelector,
          .help = "the weights to look at; others stay as they are"};
}

pass::OptionInfo rules_option() {
  return {
      .name = "rules",
      .type = OptionType::kRules,
      .help =
          "selectors with options of their own, or `skip: true`; the first that matches counts"};
}

pass::OptionInfo group_size_option(bool per_tensor) {
  pass::OptionInfo info = {
      .name = "group_size",
      .type = OptionType::kIntegerOrWord,
      .fallback = "32",
      .unit = "inputs",
      .help = "inputs that share a scale: 16, a multiple of 32 or a whole channel",
      .minimum = 16,
      .maximum = 256,
      .words = {"channel"}};
  if (!per_tensor) return info;
  info.help = "inputs that share a scale: 16, a multiple of 32, a whole channel or the tensor";
  info.words.push_back("tensor");
  return info;
}

}  // namespace thimble::passes
