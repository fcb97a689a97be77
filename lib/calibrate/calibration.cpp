#include "calibrate/calibration.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "data/text.h"

namespace thimble::calibrate {
namespace {

constexpr std::int64_t kContext = 512;

bool is_state(const ir::Model& model, const std::string& name) {
  return std::any_of(model.states.begin(), model.states.end(),
                     [&](const ir::State& state) { return state.input == name; });
}

Held held_integers(const ir::Value& input, std::vector<std::int64_t> values) {
  const auto count = static_cast<std::int64_t>(values.size());
  const auto* data = reinterpret_cast<const std::byte*>(values.data());
  Held held{program::Type::kI64, {count}, nullptr};
  if (input.shape && input.shape->size() == 2) held.dims = {1, count};
  held.bytes = std::make_shared<const std::vector<std::byte>>(
      data, data + values.size() * sizeof(*values.data()));
  return held;
}

// What the text says of one input of the model.
Expected<std::vector<std::int64_t>> input_values(const std::string& name,
                                                 const data::Window& window) {
  std::vector<std::int64_t> values(window.tokens.begin(), window.tokens.end());
  if (name == "input_ids") return values;
  if (name == "attention_mask") {
    std::fill(values.begin(), values.end(), 1);
  } else if (name == "token_type_ids") {
    std::fill(values.begin(), values.end(), 0);
  } else if (name == "position_ids" || name == "logit_positions") {
    std::iota(values.begin(), values.end(), std::int64_t{0});
  } else {
    return unsupported("text does not say what the model's input '" + name + "' is");
  }
  return values;
}

Expected<data::WindowOptions> window_options(const ir::Model& model, const TextOptions& options) {
  const std::int64_t limit =
      model.max_context > 0 ? model.max_context : std::numeric_limits<std::int64_t>::max();
  if (options.context > limit) {
    return invalid_argument("a calibration context of " + std::to_string(options.context) +
                            " tokens is more than the model's " + std::to_string(limit))
        .fix("calibrate: {context: " + std::to_string(limit) + "}");
  }
  data::WindowOptions windows;
  windows.context = options.context > 0 ? options.context : std::min(kContext, limit);
  windows.max_windows = std::max<std::int64_t>(1, options.tokens / windows.context);
  return windows;
}

}  // namespace

Expected<Calibration> Calibration::from_text(const ir::Model& model, std::string_view text,
                                             const TextOptions& options) {
  if (model.tokenizer.empty()) {
    return unsupported("the model has no tokenizer, so no text can calibrate it")
        .in(model.source_path);
  }
  THIMBLE_ASSIGN(const data::WindowOptions windows, window_options(model, options));
  THIMBLE_ASSIGN(const tokenizer::Tokenizer tokenizer, tokenizer::Tokenizer::load(model.tokenizer));
  THIMBLE_ASSIGN(const std::vector<data::Window> cut, data::make_windows(text, tokenizer, windows));
  std::vector<Sample> samples(cut.size());
  for (const ir::ValueId id : model.graph.inputs()) {
    const ir::Value& input = model.graph.value(id);
    if (is_state(model, input.name)) continue;
    for (std::size_t s = 0; s < cut.size(); ++s) {
      THIMBLE_ASSIGN(std::vector<std::int64_t> values, input_values(input.name, cut[s]));
      Held held = held_integers(input, std::move(values));
      const auto first = samples.front().find(input.name);
      const bool again = first != samples.front().end() && *first->second.bytes == *held.bytes;
      samples[s].emplace(input.name, again ? first->second : std::move(held));
    }
  }
  return Calibration(std::move(samples));
}

}  // namespace thimble::calibrate
