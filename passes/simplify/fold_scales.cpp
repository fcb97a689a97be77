// fold-scales: a BatchNormalization, or a product with or sum of a constant per channel, goes into
// the weight and bias of the Conv, ConvTranspose, Gemm or MatMul before it. The weight is scaled as
// it is read; one that something else uses as well stays as it is, and the report says so.

#include <cmath>
#include <cstring>
#include <limits>

#include "ir/match.h"
#include "passes/registrations.h"
#include "passes/simplify/rewrite.h"

namespace thimble::passes {
namespace {

using ir::ValueId;
using Floats = std::vector<float>;

// Which factor scales element (row, column): (row / row_block) * row_step + column / column_block.
struct Layout {
  std::int64_t row_block = 1, row_step = 1, column_block = 1;
};

class ScaledRows : public ir::WeightSource {
 public:
  ScaledRows(std::shared_ptr<const ir::WeightSource> from, std::int64_t columns, Layout layout,
             Floats factors)
      : from_(std::move(from)), columns_(columns), layout_(layout), factors_(std::move(factors)) {}

  Expected<ir::Rows> read(std::int64_t begin, std::int64_t end) const override {
    THIMBLE_ASSIGN(const ir::Rows rows, from_->read(begin, end));
    const auto count = static_cast<std::size_t>((end - begin) * columns_);
    if (rows.dense.size() < count * sizeof(float))
      return invalid_file("a weight's data ends early");
    Floats scaled(count);
    if (count > 0) std::memcpy(scaled.data(), rows.dense.data(), count * sizeof(float));
    for (std::int64_t row = begin; row < end; ++row) {
      float* values = scaled.data() + (row - begin) * columns_;
      const std::int64_t first = row / layout_.row_block * layout_.row_step;
      for (std::int64_t column = 0; column < columns_; ++column)
        values[column] *= factors_[static_cast<std::size_t>(first + column / layout_.column_block)];
    }
    return ir::dense_rows(end - begin, std::move(scaled));
  }
  void release(std::int64_t begin, std::int64_t end) const override { from_->release(begin, end); }
  std::string describe() const override { return from_->describe() + ", scaled"; }

 private:
  std::shared_ptr<const ir::WeightSource> from_;
  std::int64_t columns_;
  Layout layout_;
  Floats factors_;
};

// y = factor[c] * x + term[c]
struct Channels {
  ValueId x;
  std::vector<double> factor, term;
  bool scales = false;  // some factor isn't 1
};

// A node with a weight, a bias and a channel for each of its outputs.
struct Producer {
  ir::NodeId node;
  ValueId weight, bias;
  std::int64_t channels = 0;
  std::size_t axis = 1;  // of the channels in the output
  Layout layout;
  bool takes_bias = true;
  bool private_weight = true;  // read by this node alone
};

class Folder {
 public:
  Folder(ir::Model& model, ir::Graph& graph, pass::PassReport& report)
      : model_(model), graph_(graph), report_(report) {}

  Status run() {
    for (const ir::NodeId id : graph_.order()) {
      const ir::Node node = graph_.node(id);
      if (const auto found = producer_before(id, node)) {
        if (const auto channels = channels_of(node, *found)) fold(id, *found, *channels);
      }
    }
    ir::erase_unused_constants(model_, graph_);
    return ok();
  }

 private:
  std::optional<Floats> constant(ValueId value) const {
    if (!value.valid() || !graph_.value(value).weight.valid()) return std::nullopt;
    const ir::Weight& weight = model_.weight(graph_.value(value).weight);
    const bool plain = weight.source != nullptr && graph_.value(value).dtype == ir::DType::kF32;
    if (!plain || weight.element_count() > (1 << 20)) return std::nullopt;
    auto values = ir::read_floats(weight);
    return values ? std::optional(*std::move(values)) : std::nullopt;
  }

  std::optional<Producer> producer_before(ir::NodeId id, const ir::Node& node) const {
    const bool norm = node.is("BatchNormalization") && node.integer("training_mode", 0) == 0;
    if (!norm && !node.is("Mul") && !node.is("Add") && !node.is("Div") && !node.is("Sub"))
      return std::nullopt;
    for (const ValueId input : node.inputs) {
      if (!input.valid() || !graph_.value(input).producer.valid()) continue;
      const ir::NodeId producer = graph_.value(input).producer;
      if (!only_read_by(model_, graph_, input, id)) continue;
      if (auto found = describe(producer, graph_.node(producer))) return found;
    }
    return std::nullopt;
  }

  std::optional<Producer> describe(ir::NodeId id, const ir::Node& node) const {
    Producer out;
    out.node = id;
    if (const auto linear = ir::match_linear(model_, graph_, id)) {
      const auto& shape = graph_.value(linear->output).shape;
      if (!shape || shape->empty()) return std::nullopt;
      out.weight = linear->weight_value;
      out.channels = linear->rows;
      out.axis = shape->size() - 1;
      if (linear->axis == 0) out.layout = {std::numeric_limits<std::int64_t>::max(), 0, 1};
      if (linear->axis == 1) out.layout = {1, 1, std::numeric_limits<std::int64_t>::max()};
      out.takes_bias = node.is("Gemm");
      out.private_weight = !linear->transpose.valid() ||
                           graph_.users(graph_.node(linear->transpose).outputs[0]).size() == 1;
    } else if (node.is("Conv") || node.is("ConvTranspose")) {
      out.weight = node.inputs[1];
      if (!graph_.value(out.weight).weight.valid()) return std::nullopt;
      const auto& dims = model_.weight(graph_.value(out.weight).weight).dims;
      const std::int64_t group = node.integer("group", 1);
      if (dims.size() < 3 || group < 1 || dims[0] % group != 0) return std::nullopt;
      out.channels = dims[0];
      out.layout = {1, 1, std::numeric_limits<std::int64_t>::max()};
      if (node.is("ConvTranspose")) {
        std::int64_t window = 1;
        for (std::size_t i = 2; i < dims.size(); ++i) window *= dims[i];
        out.channels = dims[1] * group;
        out.layout = {dims[0] / group, dims[1], std::max<std::int64_t>(window, 1)};
      }
    } else {
      return std::nullopt;
    }
    if (node.inputs.size() > 2) out.bias = node.inputs[2];
    return out;
  }

  // A value per channel out of a constant that broadcasts along nothing but the channels.
  std::optional<std::vector<double>> per_channel(ValueId value, ValueId x,
                                                 const Producer& producer) const {
    const auto values = constant(value);
    const auto& shape = graph_.value(x).shape;
    if (!values || !shape) return std::nullopt;
    const auto& dims = model_.weight(graph_.value(value).weight).dims;
    if (dims.size() > shape->size()) return std::nullopt;
    for (std::size_t i = 0; i < dims.size(); ++i) {
      const std::size_t axis = shape->size() - dims.size() + i;
      if (dims[i] != 1 && (axis != producer.axis || dims[i] != producer.channels))
        return std::nullopt;
    }
    std::vector<double> out(static_cast<std::size_t>(producer.channels));
    for (std::size_t c = 0; c < out.size(); ++c) out[c] = (*values)[values->size() == 1 ? 0 : c];
    return out;
  }

  std::optional<Channels> channels_of(const ir::Node& node, const Producer& producer) const {
    const auto count = static_cast<std::size_t>(producer.channels);
    Channels out{graph_.node(producer.node).outputs[0], std::vector<double>(count, 1),
                 std::vector<double>(count, 0)};
    if (node.is("BatchNormalization")) {
      const auto scale = constant(node.inputs[1]), shift = constant(node.inputs[2]);
      const auto mean = constant(node.inputs[3]), variance = constant(node.inputs[4]);
      if (node.inputs[0] != out.x || !scale || !shift || !mean || !variance ||
          scale->size() != count || shift->size() != count || mean->size() != count ||
          variance->size() != count)
        return std::nullopt;
      for (std::size_t c = 0; c < count; ++c) {
        out.factor[c] = (*scale)[c] / std::sqrt(static_cast<double>((*variance)[c]) +
                                                node.real("epsilon", 1e-5f));
        out.term[c] = (*shift)[c] - (*mean)[c] * out.factor[c];
      }
      out.scales = true;
      return out;
    }
    const std::size_t side = node.inputs[0] == out.x ? 1 : 0;
    if ((node.is("Sub") || node.is("Div")) && side == 0) return std::nullopt;
    if (!same_kind(graph_, out.x, node.outputs[0])) return std::nullopt;
    auto values = per_channel(node.inputs[side], out.x, producer);
    if (!values) return std::nullopt;
    out.scales = node.is("Mul") || node.is("Div");
    if (node.is("Sub"))
      for (double& value : *values) value = -value;
    if (node.is("Div"))
      for (double& value : *values) value = 1 / value;
    (out.scales ? out.factor : out.term) = *std::move(values);
    return out;
  }

  std::size_t uses_of(ir::WeightId weight) const {
    std::size_t uses = 0;
    for (const ValueId id : graph_.constants()) {
      if (graph_.value(id).weight == weight)
        uses += graph_.users(id).size() + (graph_.is_output(id) ? 1 : 0) +
                (ir::is_captured(model_, graph_, id) ? 1 : 0);
    }
    for (const ir::Graph& body : model_.graphs) {
      for (const ValueId id : body.constants()) uses += body.value(id).weight == weight ? 1 : 0;
    }
    return uses;
  }

  // Why the weight can't be scaled; empty when it can.
  std::string obstacle(const Producer& producer) const {
    const ir::WeightId id = graph_.value(producer.weight).weight;
    const ir::Weight& weight = model_.weight(id);
    if (!producer.private_weight || uses_of(id) > 1) return "other nodes use the weight too";
    if (weight.source == nullptr || !weight.encoding.is_dense() || weight.dtype != ir::DType::kF32)
      return "the weight isn't stored in f32";
    return {};
  }

  void keep(const ir::Node& node, const Producer& producer, const std::string& why) {
    const ir::Weight& weight = model_.weight(graph_.value(producer.weight).weight);
    pass::TensorDecision decision;
    decision.tensor = weight.name;
    decision.scheme = weight.scheme();
    decision.why = node.op + " was not folded: " + why;
    decision.kept = true;
    report_.decisions.push_back(std::move(decision));
  }

  void fold(ir::NodeId id, const Producer& producer, const Channels& channels) {
    const ir::Node node = graph_.node(id);
    const bool moves = !channels.scales || node.is("BatchNormalization");
    const auto old_bias = producer.bias.valid() ? bias_of(producer) : Floats{0.0f};
    if ((moves && !producer.takes_bias) || !old_bias) return;
    apply(id, node, producer, channels, moves, *old_bias);
  }

  // One for all channels, or one for each: not one for each row of a Gemm's result.
  std::optional<Floats> bias_of(const Producer& producer) const {
    auto values = constant(producer.bias);
    if (!values) return std::nullopt;
    const auto& dims = model_.weight(graph_.value(producer.bias).weight).dims;
    const bool fits =
        values->size() == 1 || (static_cast<std::int64_t>(values->size()) == producer.channels &&
                                dims.back() == producer.channels);
    return fits ? values : std::nullopt;
  }

  void apply(ir::NodeId id, const ir::Node& node, const Producer& producer,
             const Channels& channels, bool moves, const Floats& old_bias) {
    if (channels.scales) {
      if (const std::string why = obstacle(producer); !why.empty())
        return keep(node, producer, why);
      ir::Weight& weight = model_.weight(graph_.value(producer.weight).weight);
      const Floats factors(channels.factor.begin(), channels.factor.end());
      weight.source =
          std::make_shared<ScaledRows>(weight.source, weight.inputs(), producer.layout, factors);
    }
    if (moves || producer.bias.valid()) set_bias(producer, channels, old_bias);
    bypass(model_, graph_, id, channels.x);
    ++report_.changes;
  }

  void set_bias(const Producer& producer, const Channels& channels, const Floats& old_bias) {
    Floats bias(channels.term.size());
    for (std::size_t c = 0; c < bias.size(); ++c) {
      const double old = old_bias[old_bias.size() == 1 ? 0 : c];
      bias[c] = static_cast<float>(old * channels.factor[c] + channels.term[c]);
    }
    const std::string name =
        producer.bias.valid() ? graph_.value(producer.bias).name
                              : model_.weight(graph_.value(producer.weight).weight).name + ".bias";
    const ValueId value =
        ir::add_constant(model_, graph_, ir::make_dense(name, {producer.channels}, bias));
    graph_.edit(producer.node, [&](ir::Node& node) {
      node.inputs.resize(3);
      node.inputs[2] = value;
    });
    ir::erase_unused_constants(model_, graph_);  // the old bias leaves its name
    if (!graph_.find_value(name)) ir::rename(model_, graph_, value, name);
  }

  ir::Model& model_;
  ir::Graph& graph_;
  pass::PassReport& report_;
};

class FoldScales : public pass::Pass {
 public:
  Status configure(const pass::Options&) override { return ok(); }
  Status run(ir::Model& model, pass::Context&, pass::Report& report) override {
    THIMBLE_TRY(Folder(model, model.graph, report.current()).run());
    for (ir::Graph& body : model.graphs) THIMBLE_TRY(Folder(model, body, report.current()).run());
    return ir::infer_shapes(model);
  }
};

}  // namespace

pass::Registration fold_scales() {
  return {{.name = "fold-scales",
           .summary = "Fold BatchNormalization, factors and terms into the product before",
           .kind = pass::Kind::kRewrite,
           .options = {}},
          [] { return std::unique_ptr<pass::Pass>(new FoldScales); }};
}

}  // namespace thimble::passes
