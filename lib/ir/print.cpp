#include <charconv>
#include <cstdio>
#include <unordered_set>

#include "ir/activation_words.h"
#include "ir/model.h"
#include "ir/text_form.h"

namespace thimble::ir {
namespace {

constexpr std::int64_t kMostValues = 64;

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f || c == '"' || c == '\\') {
      char code[8];
      std::snprintf(code, sizeof code, "\\x%02x", byte);
      out += code;
    } else {
      out += c;
    }
  }
  return out;
}

std::string quoted(std::string_view text) { return "\"" + escaped(text) + "\""; }

std::string name_text(std::string_view name) {
  bool bare = !name.empty();
  for (const char c : name) bare = bare && is_bare(c);
  return bare ? std::string(name) : quoted(name);
}

std::string real_text(float value) {
  char buffer[32];
  std::string text(buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr);
  return text.find_first_not_of("-0123456789") == std::string::npos ? text + ".0" : text;
}

template <class T, class F>
std::string list_text(const std::vector<T>& items, std::string_view empty, F one) {
  if (items.empty()) return std::string(empty);
  std::string out = "[";
  for (const T& item : items) out += (out.size() > 1 ? ", " : "") + one(item);
  return out + "]";
}

std::string integers_text(const std::vector<std::int64_t>& items, std::string_view empty) {
  return list_text(items, empty, [](std::int64_t i) { return std::to_string(i); });
}

std::string values_text(const Weight& weight) {
  const bool reals =
      weight.dtype == DType::kF32 || weight.dtype == DType::kF16 || weight.dtype == DType::kBF16;
  const bool integers =
      weight.dtype == DType::kI64 || weight.dtype == DType::kI32 || weight.dtype == DType::kBool;
  if (!weight.encoding.is_dense() || weight.source == nullptr ||
      weight.element_count() > kMostValues || (!reals && !integers)) {
    return {};
  }
  if (reals) {
    const Expected<std::vector<float>> values = read_floats(weight);
    return values ? " = " + list_text(*values, "[]", real_text) : "";
  }
  const Expected<std::vector<std::int64_t>> values = read_integers(weight);
  return values ? " = " + integers_text(*values, "[]") : "";
}

std::string_view task_text(Task task) {
  return task == Task::kGenerate ? "generate" : task == Task::kEmbed ? "embed" : "tensors";
}
std::string_view pooling_text(Pooling pooling) {
  return pooling == Pooling::kMean ? "mean" : pooling == Pooling::kCls ? "cls" : "none";
}

class Printer {
 public:
  explicit Printer(const Model& model) : model_(model) {}

  std::string run() {
    header();
    for (const State& state : model_.states) {
      out_ += "state %" + name_text(state.input) + " <- %" + name_text(state.output) + "\n";
    }
    for (std::size_t i = 0; i < model_.weights.size(); ++i) weight(i);
    for (const Graph& body : model_.graphs) graph("body", body);
    graph("graph", model_.graph);
    return std::move(out_);
  }

 private:
  void header() {
    std::string fields;
    const auto add = [&](std::string_view key, const std::string& value) {
      fields += (fields.empty() ? "" : ", ") + std::string(key) + " = " + value;
    };
    if (!model_.architecture.empty()) add("architecture", quoted(model_.architecture));
    if (!model_.source_format.empty()) add("format", quoted(model_.source_format));
    if (model_.max_context != 0) add("max_context", std::to_string(model_.max_context));
    if (model_.pooling != Pooling::kNone) add("pooling", quoted(pooling_text(model_.pooling)));
    if (model_.task != Task::kTensors) add("task", quoted(task_text(model_.task)));
    if (!fields.empty()) out_ += "model {" + fields + "}\n";
  }

  void weight(std::size_t index) {
    const Weight& w = model_.weights[index];
    labels_.emplace_back();
    if (w.source == nullptr && w.name.empty()) return;  // erased
    std::string label = w.name;
    for (int n = 1; !taken_.insert(label).second; ++n) label = w.name + "." + std::to_string(n);
    labels_.back() = label;
    out_ += "weight @" + name_text(label) + ": " + std::string(dtype_name(w.dtype)) +
            integers_text(w.dims, "[]");
    if (!w.encoding.is_dense()) out_ += " as " + w.encoding.to_string();
    if (w.source_parameters != 0) out_ += " parameters " + std::to_string(w.source_parameters);
    out_ += values_text(w) + "\n";
  }

  std::string label(WeightId id) const {
    return id.index < labels_.size() ? "@" + name_text(labels_[id.index]) : "@?";
  }

  static std::string type(const Value& value) {
    std::string text(dtype_name(value.dtype));
    text += value.shape ? to_string(*value.shape) : "[*]";
    for (const auto& [word, scheme] : kActivationWords) {
      if (value.activation == scheme && scheme != ActivationScheme::kFloat)
        text += " as " + std::string(word);
    }
    if (value.activation == ActivationScheme::kStatic) {
      text += " as int8(" + real_text(value.static_scale.scale) + ", " +
              std::to_string(value.static_scale.zero) + ")";
    }
    return text;
  }

  std::string use(const Graph& g, ValueId id) const {
    if (!id.valid()) return "_";
    if (!g.alive(id)) return "%?";
    const Value& value = g.value(id);
    const bool is_label =
        value.weight.index < labels_.size() && labels_[value.weight.index] == value.name;
    return is_label ? label(value.weight) : "%" + name_text(value.name);
  }

  static std::string definition(const Graph& g, ValueId id) {
    if (!id.valid()) return "_";
    if (!g.alive(id)) return "%?";
    return "%" + name_text(g.value(id).name) + ": " + type(g.value(id));
  }

  std::string attribute_text(const AttributeValue& value) const {
    struct Visitor {
      const Printer& printer;
      std::string operator()(std::int64_t i) const { return std::to_string(i); }
      std::string operator()(float f) const { return real_text(f); }
      std::string operator()(const std::string& s) const { return quoted(s); }
      std::string operator()(const std::vector<std::int64_t>& v) const {
        return integers_text(v, "ints[]");
      }
      std::string operator()(const std::vector<float>& v) const {
        return list_text(v, "floats[]", real_text);
      }
      std::string operator()(const std::vector<std::string>& v) const {
        return list_text(v, "strings[]", quoted);
      }
      std::string operator()(WeightId id) const { return printer.label(id); }
      std::string operator()(GraphId id) const { return "#" + std::to_string(id.index); }
    };
    return std::visit(Visitor{*this}, value);
  }

  void node(const Graph& g, const Node& n) {
    std::string line = "  ";
    for (std::size_t i = 0; i < n.outputs.size(); ++i) {
      line += (i > 0 ? ", " : "") + definition(g, n.outputs[i]);
    }
    line += " = " + (n.domain.empty() ? "" : n.domain + "::") + n.op + "(";
    for (std::size_t i = 0; i < n.inputs.size(); ++i)
      line += (i > 0 ? ", " : "") + use(g, n.inputs[i]);
    line += ")";
    for (std::size_t i = 0; i < n.attributes.size(); ++i) {
      line += (i > 0 ? ", " : " {") + n.attributes[i].name + " = " +
              attribute_text(n.attributes[i].value);
    }
    if (!n.attributes.empty()) line += "}";
    if (!n.name.empty()) line += "  // " + escaped(n.name);
    out_ += line + "\n";
  }

  void graph(std::string_view keyword, const Graph& g) {
    out_ += std::string(keyword) + " " + name_text(g.name.empty() ? "main" : g.name) + "(";
    for (std::size_t i = 0; i < g.inputs().size(); ++i) {
      out_ += (i > 0 ? ", " : "") + definition(g, g.inputs()[i]);
    }
    out_ += ")";
    for (std::size_t i = 0; i < g.captures().size(); ++i) {
      out_ += (i > 0 ? ", " : " captures (") + definition(g, g.captures()[i]);
    }
    out_ += g.captures().empty() ? " {\n" : ") {\n";
    for (const ValueId id : g.constants()) {
      const std::string own = use(g, id);
      const WeightId weight = g.value(id).weight;
      if (own[0] == '%') out_ += "  " + own + " = " + label(weight) + "\n";
    }
    for (const NodeId id : g.order()) node(g, g.node(id));
    out_ += "  return";
    for (std::size_t i = 0; i < g.outputs().size(); ++i) {
      out_ += (i > 0 ? ", " : " ") + use(g, g.outputs()[i]);
    }
    out_ += "\n}\n";
  }

  const Model& model_;
  std::string out_;
  std::vector<std::string> labels_;  // by WeightId
  std::unordered_set<std::string> taken_;
};

}  // namespace

std::string print(const Model& model) { return Printer(model).run(); }

}  // namespace thimble::ir
