#include "passes/quantize/scaling.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "passes/quantize/findings.h"
#include "passes/quantize/rewritten.h"
#include "quant/decode.h"

namespace thimble::passes {
namespace {

using ir::NodeId;
using ir::ValueId;

constexpr std::int64_t kRowsAtOnce = 64;

// Walks from the products' input to what makes it. Each step returns why it cannot go on; empty:
// the factors are absorbed.
class Tracer {
 public:
  Tracer(const ir::Model& model, const std::map<std::uint32_t, const ir::WeightUse*>& uses,
         ScalingSite& site)
      : model_(model), graph_(model.graph), uses_(uses), site_(site) {}

  // `value` [..., site.factors] and whatever is behind it that makes it alone.
  std::string trace(ValueId value) {
    const NodeId id = graph_.value(value).producer;
    if (!id.valid()) return "its input comes from outside";
    const ir::Node& node = graph_.node(id);
    if (node.is("RMSNormalization") || node.is("LayerNormalization")) return norm(id, node);
    if (node.is("Attention") || node.is("Attention", "thimble")) return attention(node);
    if (node.is("Mul")) return product(node);
    if (node.is("Relu") || node.is("Identity") || is_row_gather(node)) return step(node.inputs[0]);
    return linear(value, 0);
  }

 private:
  bool is_row_gather(const ir::Node& node) const {
    if (!node.is("Gather") || !graph_.value(node.inputs[0]).shape) return false;
    const auto rank = static_cast<std::int64_t>(graph_.value(node.inputs[0]).shape->size());
    const std::int64_t axis = node.integer("axis", 0);
    return rank >= 2 && axis != rank - 1 && axis != -1;
  }

  // The one reader of the value is where we come from.
  bool alone(ValueId value) const {
    return graph_.users(value).size() == 1 && !graph_.is_output(value) &&
           !ir::is_captured(model_, graph_, value);
  }
  std::string shared(ValueId value) const {
    return "'" + graph_.value(value).name + "' has other readers";
  }
  std::string step(ValueId value) { return alone(value) ? trace(value) : shared(value); }

  // A constant with `size` channels along its last dim.
  bool is_vector(ValueId value, std::int64_t size) const {
    if (!value.valid() || !graph_.value(value).weight.valid()) return false;
    const ir::Weight& weight = model_.weight(graph_.value(value).weight);
    return is_rewritable(weight) && weight.dims.back() == size && weight.element_count() == size;
  }

  std::string absorb(NodeId node, std::size_t input, int axis, std::int64_t offset) {
    site_.absorbers.push_back({node, input, axis, offset});
    const ir::WeightId id = graph_.value(graph_.node(node).inputs[input]).weight;
    site_.absorbed_by += (site_.absorbed_by.empty() ? "" : ", ") + model_.weight(id).name;
    return {};
  }
  int last_axis(ValueId constant) const {
    return static_cast<int>(model_.weight(graph_.value(constant).weight).dims.size()) - 1;
  }

  std::string norm(NodeId id, const ir::Node& node) {
    const auto& shape = graph_.value(node.inputs[0]).shape;
    const std::int64_t axis = node.integer("axis", -1);
    const bool last = axis == -1 || (shape && axis + 1 == std::ssize(*shape));
    if (!last || !is_vector(node.inputs[1], site_.factors))
      return "the gain of '" + node.name + "' is no vector over its channels";
    const bool bias = node.inputs.size() > 2 && node.inputs[2].valid();
    if (bias && !is_vector(node.inputs[2], site_.factors))
      return "the bias of '" + node.name + "' is no vector over its channels";
    absorb(id, 1, last_axis(node.inputs[1]), 0);
    return bias ? absorb(id, 2, last_axis(node.inputs[2]), 0) : std::string();
  }

  // Values are mixed over tokens, head by head: a head's channels stay what they are. Heads of one
  // group read the same values.
  std::string attention(const ir::Node& node) {
    const std::int64_t heads = node.integer("q_num_heads", 0);
    const std::int64_t kv_heads = node.integer("kv_num_heads", 0);
    if (heads < 1 || kv_heads < 1 || heads % kv_heads != 0 || site_.width % heads != 0)
      return "'" + node.name + "' does not say how many heads it has";
    if (node.outputs.size() > 2 && node.outputs[2].valid() && !is_state(node.outputs[2]))
      return "the values of '" + node.name + "' leave the model";
    const std::int64_t size = site_.width / heads;
    for (std::int64_t c = 0; c < site_.width; ++c)
      site_.factor_of[static_cast<std::size_t>(c)] =
          c / size / (heads / kv_heads) * size + c % size;
    site_.factors = kv_heads * size;
    if (!alone(node.inputs[2])) return shared(node.inputs[2]);
    return linear(node.inputs[2], 0);
  }
  bool is_state(ValueId value) const {
    return std::any_of(model_.states.begin(), model_.states.end(), [&](const ir::State& state) {
      return state.output == graph_.value(value).name;
    });
  }

  // a * b: one side is scaled, and it is the one that a product makes (gate * up).
  std::string product(const ir::Node& node) {
    std::string why;
    for (const std::size_t side : {std::size_t{1}, std::size_t{0}}) {
      const ValueId value = node.inputs[side];
      const ScalingSite before = site_;
      const bool whole = graph_.value(value).shape && !graph_.value(value).shape->empty() &&
                         graph_.value(value).shape->back().constant() == site_.factors;
      if (!whole || !graph_.value(value).producer.valid()) continue;
      why = alone(value) ? linear(value, 0) : shared(value);
      if (why.empty()) return why;
      site_ = before;
    }
    return why.empty() ? "neither side of '" + node.name + "' comes from a product" : why;
  }

  // Channels [offset, offset + factors) of `value`, which a product with a weight of its own makes,
  // perhaps with a bias added and in parts.
  std::string linear(ValueId value, std::int64_t offset) {
    const NodeId id = graph_.value(value).producer;
    if (!id.valid()) return "its input comes from outside";
    const ir::Node& node = graph_.node(id);
    if (node.is("Split")) return split(node, value, offset);
    if (node.is("Add")) return bias(id, node, offset);
    const auto linear = ir::match_linear(model_, id);
    if (!linear) return "a " + node.op + " lies before it";
    const auto use = uses_.find(linear->weight.index);
    if (use == uses_.end() || use->second->nodes.size() != 1 || use->second->gathered)
      return "'" + model_.weight(linear->weight).name + "' before it is shared";
    if (!is_rewritable(model_.weight(linear->weight)))
      return "'" + model_.weight(linear->weight).name + "' before it is quantized already";
    const bool has_bias = node.is("Gemm") && node.inputs.size() > 2 && node.inputs[2].valid();
    if (has_bias && !is_vector(node.inputs[2], linear->rows))
      return "the bias of '" + node.name + "' is no vector";
    const NodeId reader = linear->transpose.valid() ? linear->transpose : id;
    absorb(reader, linear->transpose.valid() ? 0 : 1, 1 - linear->axis, offset);
    return has_bias ? absorb(id, 2, last_axis(node.inputs[2]), offset) : std::string();
  }

  std::string split(const ir::Node& node, ValueId value, std::int64_t offset) {
    const auto& shape = graph_.value(node.inputs[0]).shape;
    const std::int64_t axis = node.integer("axis", 0);
    if (!shape || (axis != -1 && axis + 1 != std::ssize(*shape)) || !alone(node.inputs[0]))
      return "a Split that cannot be looked through lies before it";
    for (const ValueId part : node.outputs) {
      if (part == value) return linear(node.inputs[0], offset);
      const auto& part_shape = graph_.value(part).shape;
      if (!part_shape || !part_shape->back().constant()) break;
      offset += *part_shape->back().constant();
    }
    return "a Split of unknown sizes lies before it";
  }

  std::string bias(NodeId id, const ir::Node& node, std::int64_t offset) {
    for (const std::size_t side : {std::size_t{0}, std::size_t{1}}) {
      const auto& shape = graph_.value(node.inputs[side]).shape;
      if (!shape || shape->empty() || !shape->back().constant() ||
          !is_vector(node.inputs[1 - side], *shape->back().constant()))
        continue;
      if (!alone(node.inputs[side])) return shared(node.inputs[side]);
      const ScalingSite before = site_;
      std::string why = linear(node.inputs[side], offset);
      if (!why.empty()) {
        site_ = before;
        return why;
      }
      return absorb(id, 1 - side, last_axis(node.inputs[1 - side]), offset);
    }
    return "a sum lies before it";
  }

  const ir::Model& model_;
  const ir::Graph& graph_;
  const std::map<std::uint32_t, const ir::WeightUse*>& uses_;
  ScalingSite& site_;
};

std::string obstacle_of_products(const ir::Model& model, const ScalingSite& site) {
  const ir::Graph& graph = model.graph;
  for (const ir::WeightUse& use : site.products) {
    const ir::Weight& weight = model.weight(use.weight);
    if (use.nodes.size() > 1) return "'" + weight.name + "' is shared";
    if (!weight.encoding.is_dense()) return "'" + weight.name + "' is quantized already";
    if (!is_rewritable(weight)) return "'" + weight.name + "' is no float matrix";
  }
  const bool others = graph.users(site.input).size() != site.products.size() ||
                      graph.is_output(site.input) || ir::is_captured(model, graph, site.input);
  return others ? "'" + graph.value(site.input).name + "' has readers that aren't products"
                : std::string();
}

}  // namespace

std::vector<ScalingSite> find_scaling_sites(const ir::Model& model) {
  const std::vector<ir::WeightUse> uses = ir::quantizable_weights(model);
  std::map<std::uint32_t, const ir::WeightUse*> by_weight;
  for (const ir::WeightUse& use : uses) by_weight[use.weight.index] = &use;
  std::vector<ScalingSite> sites;
  for (const NodeId node : model.graph.order()) {
    const auto linear = ir::match_linear(model, node);
    if (!linear || !by_weight.contains(linear->weight.index)) continue;
    auto site = std::find_if(sites.begin(), sites.end(),
                             [&](const ScalingSite& s) { return s.input == linear->input; });
    if (site == sites.end()) {
      sites.emplace_back();
      site = sites.end() - 1;
      site->input = linear->input;
      site->width = linear->inputs;
    }
    site->products.push_back(*by_weight[linear->weight.index]);
  }
  for (ScalingSite& site : sites) {
    site.obstacle = obstacle_of_products(model, site);
    site.factors = site.width;
    site.factor_of.resize(static_cast<std::size_t>(site.width));
    std::iota(site.factor_of.begin(), site.factor_of.end(), std::int64_t{0});
    if (site.obstacle.empty()) site.obstacle = Tracer(model, by_weight, site).trace(site.input);
  }
  return sites;
}

void report_obstacle(const ir::Model& model, const ScalingSite& site, pass::PassReport& report) {
  for (const ir::WeightUse& use : site.products) {
    report.decisions.push_back(kept(model.weight(use.weight), "not scaled: " + site.obstacle));
  }
}

void scale_site(ir::Model& model, const ScalingSite& site, std::span<const float> factors) {
  THIMBLE_CHECK(site.obstacle.empty() && std::ssize(factors) == site.factors,
                "the site can be scaled by as many factors");
  for (const float f : factors) THIMBLE_CHECK(std::isfinite(f) && f > 0, "factors are positive");
  std::vector<double> by_channel;
  for (const std::int64_t at : site.factor_of)
    by_channel.push_back(factors[static_cast<std::size_t>(at)]);
  for (const ir::WeightUse& use : site.products)
    scale_weight(model.weight(use.weight), use.axis, by_channel);
  for (const Absorber& absorber : site.absorbers) {
    const ir::WeightId id = own_constant(model, absorber.node, absorber.input);
    ir::Weight& weight = model.weight(id);
    std::vector<double> inverse(static_cast<std::size_t>(weight.dims[absorber.axis]), 1.0);
    for (std::size_t i = 0; i < factors.size(); ++i)
      inverse[static_cast<std::size_t>(absorber.offset) + i] = 1.0 / factors[i];
    scale_weight(weight, absorber.axis, std::move(inverse));
  }
}

Expected<std::vector<float>> largest_weights(const ir::Model& model, const ScalingSite& site) {
  std::vector<float> largest(static_cast<std::size_t>(site.factors));
  for (const ir::WeightUse& use : site.products) {
    const ir::Weight& weight = model.weight(use.weight);
    const std::int64_t width = weight.inputs();
    for (std::int64_t row = 0; row < weight.rows(); row += kRowsAtOnce) {
      const std::int64_t end = std::min(weight.rows(), row + kRowsAtOnce);
      THIMBLE_ASSIGN(const std::vector<float> values, quant::decode_rows(weight, row, end));
      for (std::size_t i = 0; i < values.size(); ++i) {
        const auto at = static_cast<std::int64_t>(i);
        const std::int64_t channel = use.axis == 0 ? row + at / width : at % width;
        const auto factor =
            static_cast<std::size_t>(site.factor_of[static_cast<std::size_t>(channel)]);
        const float size = std::fabs(values[i]);
        if (!std::isfinite(size)) {
          return unsupported("a weight is not finite")
              .at_tensor(weight.name)
              .note("in row " + std::to_string(row + at / width))
              .fix("leave its layer out with `only`, or repair the checkpoint");
        }
        largest[factor] = std::max(largest[factor], size);
      }
      weight.source->release(row, end);
    }
  }
  return largest;
}

}  // namespace thimble::passes
