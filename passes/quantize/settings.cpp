#include "passes/quantize/settings.h"

#include <algorithm>

#include "ir/activation_words.h"
#include "passes/quantize/findings.h"
#include "passes/quantize/offers.h"
#include "quant/levels.h"
#include "support/checked.h"
#include "support/mistakes.h"
#include "support/text.h"

namespace thimble::passes {
namespace {

using pass::OptionValue;

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

void apply_group_size(const OptionValue& value, Settings& settings) {
  settings.open.group_size = is_auto(value);
  if (settings.open.group_size) return;
  const auto* size = std::get_if<std::int64_t>(&value.value);
  settings.per_tensor = size == nullptr && *value.text() == "tensor";
  settings.group_size = size == nullptr ? 0 : *size;
}

void apply_sub_scale_bits(const OptionValue& value, Settings& settings) {
  settings.open.sub_scale_bits = is_auto(value);
  settings.sub_scale_bits = settings.open.sub_scale_bits ? 0 : std::get<std::int64_t>(value.value);
}

void apply_codes(const OptionValue& value, Settings& settings) {
  settings.open.codes = is_auto(value);
  settings.codes = codes_named(*value.text());
  if (ir::dtype_bits(settings.scale_type) == 8) settings.scale_type = ir::DType::kF16;
  const CodesFormat* format = format_of(settings.codes);
  if (format == nullptr) return;
  settings.bits = format->bits;
  settings.scale_type = format->scale_type;
  if (format->group_size > 0) settings.group_size = format->group_size;
}

Status check_format(const OptionValue& value, const Settings& s, const CodesFormat& format) {
  const bool groups = format.group_size == 0 || s.group_size == format.group_size;
  const bool scales = ir::dtype_bits(format.scale_type) != 8 || s.scale_type == format.scale_type;
  if (s.bits == format.bits && groups && scales && !s.per_tensor && s.sub_scale_bits == 0)
    return ok();
  std::string what = std::to_string(format.bits) + " bits";
  if (format.group_size > 0) what += ", groups of " + std::to_string(format.group_size);
  return wrong(value, codes_text(s.codes) + " means " + what +
                          " and scales of its own: leave `bits`, `group_size`, `scale` and "
                          "`sub_scale_bits` out");
}

// Do the settings go together? `value` is where to point.
Status check_together(const OptionValue& value, const Settings& s) {
  if (s.sub_scale_bits > 0 && !s.symmetric && !s.open.symmetric)
    return wrong(value, "'sub_scale_bits' needs `symmetric: true`");
  if (s.sub_scale_bits > 0 && s.per_tensor)
    return wrong(value, "'sub_scale_bits' needs groups, not one scale for the tensor");
  if (s.codes == Codes::kUniform) return ok();
  if (!s.symmetric && !s.open.symmetric)
    return wrong(value, codes_text(s.codes) + " needs `symmetric: true`");
  if (const CodesFormat* format = format_of(s.codes)) return check_format(value, s, *format);
  const bool some = codes_take(s.codes, 3);  // tables of other sizes
  if (s.per_tensor || (!s.open.bits && !codes_take(s.codes, s.bits))) {
    return wrong(value, codes_text(s.codes) + " needs " + (some ? "2 to 4" : "4") +
                            " bits and scales of channels or groups");
  }
  return ok();
}

// One option that was checked already, over what is set so far.
void apply(const std::string& key, const OptionValue& value, Settings& settings) {
  if (key == "bits") apply_bits(value, settings);
  if (key == "group_size") apply_group_size(value, settings);
  if (key == "symmetric") apply_symmetric(value, settings);
  if (key == "sub_scale_bits") apply_sub_scale_bits(value, settings);
  if (key == "codes") apply_codes(value, settings);
  if (key == "scale") settings.scale_type = *ir::dtype_from_name(*value.text());
  if (key == "search")
    settings.search = *value.text() == "mse" ? quant::Search::kMse : quant::Search::kAbsmax;
  if (key == "activations") settings.activation = *ir::activation_named(*value.text());
}

OptionValue selector_part(const OptionValue& rule) {
  OptionValue selector = rule;
  std::erase_if(std::get<OptionValue::Map>(selector.value),
                [](const auto& entry) { return !pass::Selector::is_key(entry.first); });
  return selector;
}

// How many inputs the encoding sees: a convolution's are all dims but the first.
std::int64_t inputs_of(const ir::Weight& weight, int axis) {
  const auto rank = static_cast<int>(weight.dims.size());
  if (rank <= 2 || axis + 1 == rank) return weight.dims[static_cast<std::size_t>(axis)];
  std::int64_t inputs = 1;
  for (std::size_t i = 1; i < weight.dims.size(); ++i) inputs *= weight.dims[i];
  return inputs;
}

// Of two uses of one value the more exact counts.
ir::ActivationScheme finer(ir::ActivationScheme a, ir::ActivationScheme b) {
  const auto is = [&](ir::ActivationScheme scheme) { return a == scheme || b == scheme; };
  for (const ir::ActivationScheme scheme :
       {ir::ActivationScheme::kFloat, ir::ActivationScheme::kInt16, ir::ActivationScheme::kInt8}) {
    if (is(scheme)) return scheme;
  }
  return ir::ActivationScheme::kInt8Token;
}

bool held(const pass::Context& context, const ir::Weight& weight, const ir::Encoding& encoding) {
  if (!context.target_holds) return true;
  ir::Weight encoded = weight;
  encoded.encoding = encoding;
  return context.target_holds(encoded);
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
  if (codes != Codes::kUniform) {
    e.kind = ir::EncodingKind::kCodebook;
    e.table = levels_of(codes, bits);
  }
  const std::int64_t inputs = inputs_of(weight, axis);
  if (sub_scale_bits > 0 && group_size > 0 && group_size < inputs) {
    e.kind = ir::EncodingKind::kSuperBlock;
    e.super_size = round_up(inputs, group_size);  // a row
    e.sub_bits = static_cast<int>(sub_scale_bits);
    e.sub_scale_zero = 1 << (sub_scale_bits - 1);  // either sign
  }
  // A convolution's inputs are all axes but the first.
  e.flat = weight.dims.size() > 2 && axis + 1 != static_cast<int>(weight.dims.size());
  e.axis = e.flat || axis + 1 == static_cast<int>(weight.dims.size()) ? -1 : axis;
  return e;
}

Expected<ir::Encoding> Settings::fitted_encoding(const ir::Weight& weight, int axis,
                                                 const std::vector<float>& importance) const {
  ir::Encoding e = encoding(weight, axis);
  if (fit() == pass::Fit::kNothing || weight.source == nullptr) return e;
  if (fit() == pass::Fit::kScaleExponent) {
    THIMBLE_ASSIGN(e.scale_exponent, quant::nvfp4_exponent(weight));
  } else {
    THIMBLE_ASSIGN(e.table, quant::fit_levels(weight, e, {search, importance}));
  }
  return e;
}

Expected<ir::Encoding> Choice::encoding(const ir::Weight& weight, int axis, bool dry_run,
                                        const std::vector<float>& importance) const {
  if (allotted) return *allotted;
  if (dry_run) return settings.encoding(weight, axis);
  return settings.fitted_encoding(weight, axis, importance);
}

Expected<Rules::Rule> Rules::make_rule(const OptionValue& value, const Settings& base,
                                       std::size_t number) {
  Rule rule;
  const OptionValue selector = selector_part(value);
  THIMBLE_ASSIGN(rule.selector, pass::Selector::parse(selector));
  rule.settings = base;
  for (const auto& [key, item] : *value.map()) {  // before what it settles
    if (key == "codes") apply_codes(item, rule.settings);
  }
  for (const auto& [key, item] : *value.map()) {
    if (key == "skip") rule.skip = std::get<bool>(item.value);
    if (key != "codes") apply(key, item, rule.settings);
  }
  THIMBLE_TRY(check_together(value, rule.settings));
  std::string text = selector.to_string();
  if (text.size() > 2) text = " (" + text.substr(1, text.size() - 2) + ")";
  rule.text = "rule " + std::to_string(number) + (text == "{}" ? "" : text);
  return rule;
}

Status Rules::configure(const pass::Options& options) {
  for (const char* key : {"codes", "bits", "group_size", "symmetric", "sub_scale_bits", "scale",
                          "search", "activations"}) {
    if (const OptionValue* value = options.find(key)) apply(key, *value, base_);
  }
  for (const char* key : {"sub_scale_bits", "codes"}) {  // rules take over what is wrong here
    if (const OptionValue* value = options.find(key)) THIMBLE_TRY(check_together(*value, base_));
  }
  THIMBLE_ASSIGN(only_, pass::Selector::only(options));
  if (const OptionValue* rules = options.find("rules")) {
    Mistakes mistakes;
    for (const OptionValue& value : *rules->list()) {
      Rule& rule = rules_.emplace_back();
      mistakes.take(make_rule(value, base_, rules_.size()), rule);
    }
    THIMBLE_TRY(std::move(mistakes).status());
  }
  return ok();
}

void Rules::begin(const std::vector<ir::WeightUse>& uses) {
  layers_ = ir::layer_count(uses);
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

Status Rules::settle(const ir::Model& model, const ir::WeightUse& use, Taker taker,
                     pass::Context& context, Choice& choice) const {
  const OpenSettings open = choice.settings.open;
  if (!open.any() || choice.skip) return ok();
  THIMBLE_CHECK(context.allocator != nullptr, "the manager gives an allocator to who leaves open");
  const ir::Weight& weight = model.weight(use.weight);
  const bool own_grid = !weight.encoding.is_dense() && taker != Taker::kRoundsAgain;
  std::vector<Settings> offered;
  pass::OpenWeight wish{use.weight,
                        use.axis,
                        choice.settings.search == quant::Search::kMse,
                        {},
                        taker == Taker::kCompensates};
  for (const Settings& settings : every_setting(choice.settings, weight, use.axis)) {
    if (own_grid && settings.bits >= weight.encoding.bits) continue;
    const pass::Offer offer{settings.encoding(weight, use.axis), settings.fit()};
    if (!held(context, weight, offer.encoding)) continue;
    offered.push_back(settings);
    wish.offers.push_back(offer);
  }
  const bool affordable = weight.encoding.is_dense() && ir::dtype_bits(weight.dtype) <= 16;
  if (own_grid || (open.bits && affordable)) wish.offers.push_back({ir::Encoding::dense()});
  if (wish.offers.empty()) {
    return unsupported("the output's format holds none of the encodings left to the budget")
        .at_tensor(weight.name)
        .note("its rows are of " + std::to_string(weight.inputs()) + " inputs")
        .fix(
            "leave it more to choose (`codes: auto`, `group_size: auto`) or, where its rows don't "
            "fill the format's blocks, as it is (`skip: true` in a rule); or write .thimble");
  }
  THIMBLE_ASSIGN(const pass::Allotment allotted, context.allocator->choose(model, wish));
  choice.as_it_is = allotted.offer >= offered.size();
  if (!choice.as_it_is) {
    choice.settings = offered[allotted.offer];
    choice.allotted = allotted.encoding;
  }
  choice.why += "; " + allotted.why;
  return ok();
}

void Rules::find_unused(pass::PassReport& report) const {
  for (std::size_t i = 0; i < matched_.size(); ++i) {
    if (matched_[i]) continue;
    report.findings.push_back(no_effect(rules_[i].text + " applies to no weight"));
    report.findings.back().rule = rules_[i].text;
  }
}

void ActivationWishes::add(const ir::Model& model, const ir::WeightUse& use,
                           ir::ActivationScheme scheme) {
  if (use.body.valid()) return;  // nothing there has a range yet
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

void find_other_shape(const ir::Weight& weight, const Settings& settings,
                      const ir::Encoding& encoding, const std::string& rule,
                      pass::PassReport& report) {
  if (settings.sub_scale_bits == 0 || encoding.kind == ir::EncodingKind::kSuperBlock) return;
  report.findings.push_back({pass::FindingKind::kShape, weight.name, 0,
                             "a row is one group, so `sub_scale_bits` has nothing to code; it is "
                             "written as " +
                                 encoding.to_string(),
                             rule});
}

}  // namespace thimble::passes
