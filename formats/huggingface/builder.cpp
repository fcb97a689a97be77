#include "formats/huggingface/builder.h"

#include "support/text.h"

namespace thimble::formats {
namespace {

ir::Attribute attribute(std::string name, ir::AttributeValue value) {
  return {std::move(name), std::move(value)};
}

}  // namespace

Expected<ir::ValueId> Builder::weight(const std::string& name,
                                      const std::vector<std::int64_t>& dims) {
  if (const auto known = values_.find(name); known != values_.end()) return known->second;
  std::optional<ir::Weight> found = weights_.find(name);
  if (!found)
    return invalid_file("the weights hold no tensor of this name")
        .at_tensor(name)
        .in(model_.source_path);
  if (found->dims != dims) {
    return invalid_file("has dims " + format_dims(found->dims) + ", but the configuration says " +
                        format_dims(dims))
        .at_tensor(name)
        .in(model_.source_path);
  }
  used_.insert(name);
  const ir::ValueId value = model_.constant(std::move(*found));
  values_[name] = value;
  return value;
}

Expected<ir::ValueId> Builder::weight_plus_one(const std::string& name,
                                               const std::vector<std::int64_t>& dims) {
  if (const auto known = values_.find(name); known != values_.end()) return known->second;
  if (weights_.gains_include_one()) return weight(name, dims);
  std::optional<ir::Weight> found = weights_.find(name);
  if (!found || found->dims != dims) return weight(name, dims);  // which says what is wrong
  used_.insert(name);
  THIMBLE_ASSIGN(std::vector<float> gain, ir::read_floats(*found));
  for (float& g : gain) g += 1.0f;
  ir::Weight shifted = ir::make_dense(name, dims, gain);
  shifted.source_parameters = found->source_parameters;
  const ir::ValueId value = model_.constant(std::move(shifted));
  values_[name] = value;
  return value;
}

ir::ValueId Builder::scalar(float value) {
  const float one[] = {value};
  return model_.constant(ir::make_dense("constant." + std::to_string(constants_++), {}, one));
}

ir::ValueId Builder::floats(const std::string& name, const std::vector<float>& values) {
  return model_.constant(ir::make_dense(name, {static_cast<std::int64_t>(values.size())}, values));
}

ir::ValueId Builder::integers(const std::vector<std::int64_t>& values) {
  const std::vector<std::int64_t> dims = {static_cast<std::int64_t>(values.size())};
  return model_.constant(ir::make_dense("constant." + std::to_string(constants_++), dims, values));
}

ir::ValueId Builder::node(const std::string& op, std::vector<ir::ValueId> inputs,
                          const std::string& name, std::vector<ir::Attribute> attributes,
                          const std::string& domain) {
  ir::Node made{domain, op, name, std::move(inputs), {}, std::move(attributes)};
  const ir::NodeId id = graph().add_node(std::move(made), {name + "." + op});
  return graph().node(id).outputs[0];
}

Expected<ir::ValueId> Builder::linear(ir::ValueId x, const std::string& module, std::int64_t rows,
                                      std::int64_t inputs, bool bias) {
  THIMBLE_ASSIGN(const ir::ValueId w, weight(module + ".weight", {rows, inputs}));
  const ir::ValueId product = linear_with(x, w, module);
  if (!bias) return product;
  THIMBLE_ASSIGN(const ir::ValueId b, weight(module + ".bias", {rows}));
  return node("Add", {product, b}, module);
}

ir::ValueId Builder::linear_with(ir::ValueId x, ir::ValueId w, const std::string& module) {
  const ir::ValueId transposed =
      node("Transpose", {w}, module, {attribute("perm", std::vector<std::int64_t>{1, 0})});
  return node("MatMul", {x, transposed}, module);
}

Expected<ir::ValueId> Builder::rms_norm(ir::ValueId x, const std::string& module,
                                        std::int64_t width, float epsilon, bool plus_one) {
  THIMBLE_ASSIGN(const ir::ValueId gain, plus_one ? weight_plus_one(module + ".weight", {width})
                                                  : weight(module + ".weight", {width}));
  return node("RMSNormalization", {x, gain}, module,
              {attribute("axis", std::int64_t{-1}), attribute("epsilon", epsilon)});
}

Expected<ir::ValueId> Builder::layer_norm(ir::ValueId x, const std::string& module,
                                          std::int64_t width, float epsilon) {
  THIMBLE_ASSIGN(const ir::ValueId gain, weight(module + ".weight", {width}));
  THIMBLE_ASSIGN(const ir::ValueId bias, weight(module + ".bias", {width}));
  return node("LayerNormalization", {x, gain, bias}, module,
              {attribute("axis", std::int64_t{-1}), attribute("epsilon", epsilon)});
}

ir::ValueId Builder::reshape(ir::ValueId x, const std::vector<std::int64_t>& dims,
                             const std::string& name) {
  return node("Reshape", {x, integers(dims)}, name);
}

std::vector<ir::ValueId> Builder::split(ir::ValueId x, const std::vector<std::int64_t>& sizes,
                                        const std::string& name) {
  ir::Node made{"", "Split", name, {x, integers(sizes)}, {}, {attribute("axis", std::int64_t{-1})}};
  std::vector<std::string> outputs;
  for (std::size_t i = 0; i < sizes.size(); ++i)
    outputs.push_back(name + ".Split." + std::to_string(i));
  const ir::NodeId id = graph().add_node(std::move(made), outputs);
  return graph().node(id).outputs;
}

RotaryValues Builder::rotary_tables(ir::ValueId position_ids, const Rotary& rotary,
                                    const std::string& name) {
  ir::ValueId frequencies = floats(name + ".frequencies", rotary.frequencies);
  if (!rotary.long_frequencies.empty()) {
    const ir::ValueId furthest =
        node("ReduceMax", {position_ids}, name, {attribute("keepdims", std::int64_t{0})});
    const std::vector<std::int64_t> limit = {rotary.original_context - 1};
    const ir::ValueId last =
        model_.constant(ir::make_dense("constant." + std::to_string(constants_++), {}, limit));
    const ir::ValueId past_it = node("Greater", {furthest, last}, name);
    frequencies = node(
        "Where",
        {past_it, floats(name + ".long_frequencies", rotary.long_frequencies), frequencies}, name);
  }
  const ir::ValueId positions =
      node("Cast", {position_ids}, name, {attribute("to", std::int64_t{1})});
  const ir::ValueId column = node("Unsqueeze", {positions, integers({-1})}, name);
  const ir::ValueId angles = node("Mul", {column, frequencies}, name);
  RotaryValues tables{node("Cos", {angles}, name), node("Sin", {angles}, name), rotary.dim};
  if (rotary.attention_factor != 1.0f) {
    const ir::ValueId factor = scalar(rotary.attention_factor);
    tables.cosine = node("Mul", {tables.cosine, factor}, name);
    tables.sine = node("Mul", {tables.sine, factor}, name);
  }
  return tables;
}

ir::ValueId Builder::rotate(ir::ValueId x, const RotaryValues& tables, std::int64_t heads,
                            std::int64_t head_dim, const std::string& name) {
  const std::int64_t part = tables.dim == head_dim ? 0 : tables.dim;
  return node("RotaryEmbedding", {x, tables.cosine, tables.sine}, name,
              {attribute("interleaved", std::int64_t{0}), attribute("num_heads", heads),
               attribute("rotary_embedding_dim", part)});
}

bool is_tanh_gelu(const std::string& function) {
  return function == "gelu_new" || function == "gelu_pytorch_tanh" || function == "gelu_fast";
}

Expected<ir::ValueId> Builder::activation(ir::ValueId x, const std::string& function,
                                          const std::string& name) {
  if (function == "silu" || function == "swish")
    return node("Swish", {x}, name, {attribute("alpha", 1.0f)});
  if (function == "quick_gelu") return node("Swish", {x}, name, {attribute("alpha", 1.702f)});
  if (function == "gelu")
    return node("Gelu", {x}, name, {attribute("approximate", std::string("none"))});
  if (is_tanh_gelu(function))
    return node("Gelu", {x}, name, {attribute("approximate", std::string("tanh"))});
  if (function == "relu") return node("Relu", {x}, name);
  return unsupported("activation '" + function +
                     "' is not supported; supported are silu, gelu, gelu_new, gelu_pytorch_tanh, "
                     "gelu_fast, quick_gelu, relu");
}

std::vector<std::string> Builder::unused() const {
  std::vector<std::string> out;
  for (const std::string& name : weights_.names()) {
    // A checkpoint may put an inner model's prefix before the names that builders ask for.
    std::string_view rest = name;
    bool used = used_.contains(name);
    for (auto dot = rest.find('.'); !used && dot != std::string_view::npos; dot = rest.find('.')) {
      rest.remove_prefix(dot + 1);
      used = used_.contains(std::string(rest));
    }
    if (!used) out.push_back(name);
  }
  return out;
}

}  // namespace thimble::formats
