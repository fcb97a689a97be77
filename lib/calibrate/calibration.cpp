#include "calibrate/calibration.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "eval/arrays.h"
#include "lower/lower.h"
#include "runtime/session.h"

namespace thimble::calibrate {
namespace {

constexpr std::int64_t kContext = 512;

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
    return unsupported("text does not say what the model's input '" + name + "' is")
        .fix("calibrate on arrays: `calibrate: {npz: FILE}`");
  }
  return values;
}

Expected<tokenizer::Tokenizer> tokenizer_of(const ir::Model& model) {
  if (model.tokenizer.empty()) {
    return unsupported("the model has no tokenizer, so no text can calibrate it")
        .in(model.source_path)
        .fix(
            "put tokenizer.json or tokenizer.model beside it, or calibrate on arrays: "
            "`calibrate: {npz: FILE}`");
  }
  return tokenizer::Tokenizer::load(model.tokenizer);
}

// A stride leaves a part at the text's end, which doesn't count. Errors: no whole window.
Expected<std::vector<data::Window>> whole_windows(const std::vector<std::int32_t>& tokens,
                                                  const tokenizer::Tokenizer& tokenizer,
                                                  data::WindowOptions options) {
  if (std::ssize(tokens) < options.context) options.stride = 0;
  THIMBLE_ASSIGN(auto windows, data::make_windows(tokens, tokenizer, options));
  std::erase_if(windows, [&](const data::Window& window) {
    return std::ssize(window.tokens) < options.context;
  });
  return windows;
}

Expected<Held> held_array(data::Array array, ir::DType wanted) {
  const auto type = static_cast<program::Type>(wanted);  // both are ONNX's numbers
  eval::fit_floats(array, type);
  THIMBLE_ASSIGN(const runtime::TensorView view, eval::view_of(array));
  if (view.type != type) {
    return invalid_argument("the calibration has an array of " +
                            std::string(program::type_name(view.type)) + " where the model takes " +
                            std::string(ir::dtype_name(wanted)))
        .at_tensor(array.name);
  }
  return Held{view.type, view.dims, std::make_shared<const std::vector<std::byte>>(array.bytes)};
}

}  // namespace

std::string descr_of(ir::DType type) {
  switch (type) {
    case ir::DType::kF32:
    case ir::DType::kF16:
    case ir::DType::kBF16:
      return "<f4";
    case ir::DType::kF64:
      return "<f8";
    case ir::DType::kI64:
      return "<i8";
    case ir::DType::kI32:
      return "<i4";
    case ir::DType::kI8:
      return "|i1";
    case ir::DType::kU8:
      return "|u1";
    case ir::DType::kBool:
      return "|b1";
    default:
      return "";
  }
}

data::InputSpec input_spec(const ir::Value& input) {
  data::InputSpec spec{input.name, descr_of(input.dtype), {}};
  for (const ir::Dim& dim : input.shape.value_or(ir::Shape{}))
    spec.dims.push_back(dim.constant().value_or(-1));
  return spec;
}

std::vector<data::InputSpec> input_specs(const ir::Model& model) {
  std::vector<data::InputSpec> specs;
  for (const ir::ValueId id : model.graph.inputs()) {
    const ir::Value& input = model.graph.value(id);
    if (!is_state(model, input.name)) specs.push_back(input_spec(input));
  }
  return specs;
}

Expected<Calibration> Calibration::from_data(const ir::Model& model,
                                             const data::SampleSource& source, std::int64_t count,
                                             const std::vector<eval::CarriedState>& states,
                                             ThreadPool& pool) {
  const std::size_t calls =
      count == 0 ? source.size() : std::min(source.size(), static_cast<std::size_t>(count));
  program::Bundle bundle;  // runs from call to call for the states that it hands on
  std::optional<eval::CarryingSession> run;
  if (!states.empty()) {
    THIMBLE_ASSIGN(bundle, lower::load(model, pool));
    THIMBLE_ASSIGN(run, eval::CarryingSession::create(bundle, states, pool));
  }
  std::vector<Sample> samples(calls);
  for (std::size_t s = 0; s < calls; ++s) {
    THIMBLE_ASSIGN(std::vector<data::Array> arrays, source.read(s));
    if (run) THIMBLE_TRY(run->call(arrays, source.begins(s)));
    for (const ir::ValueId id : model.graph.inputs()) {
      const ir::Value& input = model.graph.value(id);
      if (is_state(model, input.name)) continue;
      const data::Array* array = data::find(arrays, input.name);
      if (array == nullptr)
        return not_found("the calibration has no array '" + input.name + "'")
            .fix("add it to the data set under the input's name, or settle it with fix-inputs");
      THIMBLE_ASSIGN(Held held, held_array(*array, input.dtype));
      samples[s].emplace(input.name, std::move(held));
    }
  }
  return Calibration(std::move(samples));
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
  windows.stride = options.stride;
  windows.max_windows = std::max<std::int64_t>(1, options.tokens / windows.context);
  return windows;
}

Expected<Calibration> Calibration::from_text(const ir::Model& model, std::string_view text,
                                             const TextOptions& options) {
  THIMBLE_ASSIGN(const tokenizer::Tokenizer tokenizer, tokenizer_of(model));
  THIMBLE_ASSIGN(const data::WindowOptions windows, window_options(model, options));
  THIMBLE_ASSIGN(const auto whole, whole_windows(tokenizer.encode(text), tokenizer, windows));
  return from_windows(model, whole);
}

Expected<Calibration> Calibration::from_chats(const ir::Model& model,
                                              const std::vector<data::Chat>& chats,
                                              const TextOptions& options) {
  THIMBLE_ASSIGN(const tokenizer::Tokenizer tokenizer, tokenizer_of(model));
  const text::ChatTemplate form = text::recognise(model.chat_template);
  if (form.format == tokenizer::ChatFormat::kNone) {
    return unsupported(model.chat_template.empty()
                           ? "the model has no chat template to put conversations into"
                           : "the model's chat template is of no form that is known")
        .in(model.source_path)
        .fix("calibrate on a text: render the conversations yourself");
  }
  THIMBLE_ASSIGN(const data::WindowOptions windows, window_options(model, options));
  const auto tokens = data::chat_tokens(chats, form, tokenizer);
  THIMBLE_ASSIGN(const auto whole, whole_windows(tokens, tokenizer, windows));
  return from_windows(model, whole);
}

Expected<Calibration> Calibration::from_windows(const ir::Model& model,
                                                const std::vector<data::Window>& windows) {
  std::vector<Sample> samples(windows.size());
  for (const ir::ValueId id : model.graph.inputs()) {
    const ir::Value& input = model.graph.value(id);
    if (is_state(model, input.name)) continue;
    for (std::size_t s = 0; s < windows.size(); ++s) {
      THIMBLE_ASSIGN(std::vector<std::int64_t> values, input_values(input.name, windows[s]));
      Held held = held_integers(input, std::move(values));
      const auto first = samples.front().find(input.name);
      const bool again = first != samples.front().end() && *first->second.bytes == *held.bytes;
      samples[s].emplace(input.name, again ? first->second : std::move(held));
    }
  }
  return Calibration(std::move(samples));
}

}  // namespace thimble::calibrate
