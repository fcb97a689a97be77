#include "formats/onnx/writer_encodings.h"

#include <set>

#include "formats/onnx/rewriter.h"
#include "formats/onnx/writer_activations.h"
#include "formats/onnx/writer_constants.h"
#include "formats/onnx/writer_dequantize.h"
#include "formats/onnx/writer_emit.h"
#include "formats/onnx/writer_products.h"
#include "formats/onnx/writer_streams.h"
#include "ir/match.h"

namespace thimble::formats::onnx {
namespace {

// A Gather of rows of a matrix.
ir::ValueId table_of(const ir::Graph& graph, const ir::Node& node) {
  const bool rows = node.is("Gather") && node.integer("axis", 0) == 0 && node.inputs.size() == 2;
  return rows && node.inputs[0].valid() && graph.value(node.inputs[0]).weight.valid()
             ? node.inputs[0]
             : ir::ValueId{};
}

class EncodingWriter {
 public:
  EncodingWriter(ir::Model& model, const EncodingOptions& options)
      : model_(model),
        options_(options),
        emit_(model),
        constants_(model, emit_, notes_),
        fixed_(model, emit_, notes_),
        products_(model, options.accuracy_level, emit_, constants_, fixed_) {}

  Expected<std::vector<std::string>> run() {
    THIMBLE_TRY(decode());
    count_uses(model_.graph);
    for (const ir::Graph& body : model_.graphs) count_uses(body);
    THIMBLE_TRY(write(model_.graph));
    for (ir::Graph& body : model_.graphs) THIMBLE_TRY(write(body));
    return notes_.lines();
  }

 private:
  // Weights that are to be floats, or can only be.
  Status decode() {
    for (ir::Weight& weight : model_.weights) {
      if (weight.encoding.is_dense() || (weight.source == nullptr && weight.name.empty())) continue;
      if (weight.source == nullptr)
        return invalid_argument("the values of this weight are not known").at_tensor(weight.name);
      const bool turned =
          !last_axis(weight) && (weight.encoding.axis != 0 || weight.dims.size() != 2);
      const bool fits = has_streams(weight.encoding) && !turned;
      if (fits && !options_.decode_all) continue;
      if (!options_.decode_all && !options_.decode_rest) {
        return unsupported("ONNX has no form for the encoding " + weight.encoding.to_string())
            .at_tensor(weight.name)
            .fix("choose uniform codes of 2 to 8 bits, or write it as f32 with --allow-dequantize");
      }
      if (!options_.decode_all)
        notes_.add(weight, "written as f32: ONNX has no form for " + weight.encoding.to_string());
      weight = decoded(weight);
    }
    return ok();
  }

  void count_uses(const ir::Graph& graph) {
    for (const ir::NodeId id : graph.order()) {
      if (const auto linear = ir::match_linear(model_, graph, id)) {
        constants_.uses(linear->weight).multiplied = true;
      } else if (const ir::ValueId table = table_of(graph, graph.node(id)); table.valid()) {
        constants_.uses(graph.value(table).weight).gathered = true;
      }
    }
  }

  Status write(ir::Graph& graph) {
    fixed_.start_graph(graph);
    products_.start_graph();
    folded_.clear();
    for (const ir::NodeId id : graph.order()) {
      if (!graph.alive(id)) continue;
      emit_.move_to(graph, id, graph.node(id).name);
      if (const auto linear = ir::match_linear(model_, graph, id)) {
        if (is_encoded(model_, graph, linear->weight_value))
          THIMBLE_TRY(products_.write(graph, id, *linear));
        else
          fixed_.round_inputs(graph, id);
      } else if (const auto conv = ir::match_convolution(model_, graph, id)) {
        if (is_encoded(model_, graph, conv->weight_value))
          THIMBLE_TRY(convolution(graph, id, *conv));
        else
          fixed_.round_inputs(graph, id);
      } else if (const ir::ValueId table = table_of(graph, graph.node(id));
                 is_encoded(model_, graph, table)) {
        look_up(graph, id, graph.value(table).weight);
      } else {
        if (const ir::ValueId kernel = ir::transposed_weight(model_, graph, graph.node(id));
            is_encoded(model_, graph, kernel))
          folded_.insert(graph.value(kernel).weight);
        fixed_.round_inputs(graph, id);
      }
    }
    erase_dead_transposes(graph);
    for (const ir::ValueId id : graph.constants()) {
      if (is_encoded(model_, graph, id)) THIMBLE_TRY(dequantize_constant(graph, id));
    }
    erase_dead_constants(graph);
    for (const auto& [value, name] : emit_.later_names()) ir::rename(model_, graph, value, name);
    emit_.later_names().clear();
    return ok();
  }

  void erase_dead_transposes(ir::Graph& graph) {
    for (const ir::NodeId id : graph.order()) {
      const ir::Node& node = graph.node(id);
      if (!node.is("Transpose") || !is_encoded(model_, graph, node.inputs[0])) continue;
      const ir::ValueId result = node.outputs[0];
      const bool used = graph.is_output(result) || !graph.users(result).empty() ||
                        ir::is_captured(model_, graph, result);
      if (!used) graph.erase(id);
    }
  }

  // The graph itself doesn't know what bodies read: captured constants stand in as its outputs.
  void erase_dead_constants(ir::Graph& graph) {
    const std::vector<ir::ValueId> outputs = graph.outputs();
    std::vector<ir::ValueId> kept = outputs;
    for (const ir::ValueId id : graph.constants()) {
      if (!is_encoded(model_, graph, id) && ir::is_captured(model_, graph, id)) kept.push_back(id);
    }
    graph.set_outputs(std::move(kept));
    graph.erase_unused_constants();
    graph.set_outputs(outputs);
  }

  Status convolution(ir::Graph& graph, ir::NodeId id, const ir::Convolution& conv) {
    if (graph.value(conv.input).activation != ir::ActivationScheme::kStatic) {
      folded_.insert(conv.weight);  // it computes in f32, fastest with constant weights
      return ok();
    }
    if (!fixed_.on_codes(id))
      notes_.add(model_.weight(conv.weight),
                 "convolved in floats by ONNX Runtime: the result has no fixed scale");
    Rewriter node(model_, graph, id, kGraphOpset);
    const ir::ValueId x = fixed_.rounded(graph, conv.input);
    THIMBLE_ASSIGN(const ir::ValueId bias,
                   fixed_.bias(graph, conv.input, conv.weight, node.input(2)));
    node.set_input(0, x);
    if (bias.valid()) node.set_input(2, bias);
    return ok();
  }

  void look_up(ir::Graph& graph, ir::NodeId id, ir::WeightId table) {
    const ir::Weight weight = model_.weight(table);
    const CodeForm form = code_form(weight.encoding);
    const std::int64_t block = whole_block_of(weight, form.bits);
    if (weight.dims.size() != 2 || !last_axis(weight) || block == 0 ||
        weight.encoding.zero == ir::ZeroKind::kMinima)
      return;
    const ir::Node node = graph.node(id);
    const WeightConstants::Parts parts = constants_.blocks(table, form, block);
    ir::ValueId rows = parts.codes;
    if (constants_.uses(table)
            .multiplied) {  // their codes are one tensor, its rows cut into blocks
      rows = emit_.node("Reshape",
                        {rows, emit_.integers({weight.dims[0], weight.dims[1] * form.bits / 8})},
                        {}, weight.name + "_rows");
    }
    const ir::ValueId y =
        emit_.node("GatherBlockQuantized", {rows, node.inputs[1], parts.scales, parts.zeros},
                   {{"bits", std::int64_t{form.bits}},
                    {"block_size", block},
                    {"gather_axis", std::int64_t{0}},
                    {"quantize_axis", std::int64_t{1}}},
                   graph.value(node.outputs[0]).name, kContrib);
    Rewriter(model_, graph, id, kGraphOpset).replace({y});
  }

  Status dequantize_constant(ir::Graph& graph, ir::ValueId constant) {
    const bool output = graph.is_output(constant);
    if (!output && graph.users(constant).empty() && !ir::is_captured(model_, graph, constant))
      return ok();
    const std::vector<ir::NodeId> order = graph.order();
    const ir::Value value = graph.value(constant);
    emit_.move_to(graph, order.empty() ? ir::NodeId{} : order.front(), value.name);
    const ir::Weight& weight = model_.weight(value.weight);
    constants_.tell_width(weight, dequantized_form(weight));
    const bool folded = folded_.contains(value.weight);
    const ir::ValueId real = dequantized(model_, value.weight, folded, emit_);
    graph.value(real).dtype = ir::DType::kF32;
    graph.value(real).shape = value.shape;
    ir::replace_uses(model_, graph, constant, real);
    if (output) {  // which keeps its name
      ir::rename(model_, graph, constant, value.name + "_encoded");
      ir::rename(model_, graph, real, value.name);
      for (auto& [codes, name] : emit_.later_names())
        name += name == value.name ? "_quantized" : "";
    }
    return ok();
  }

  ir::Model& model_;
  const EncodingOptions& options_;
  Emitter emit_;
  WriterNotes notes_;
  WeightConstants constants_;
  FixedActivations fixed_;
  ProductWriter products_;
  // Of the graph that is being written: to be floats once the model is loaded.
  std::set<ir::WeightId> folded_;
};

}  // namespace

Expected<std::vector<std::string>> write_encodings(ir::Model& model,
                                                   const EncodingOptions& options) {
  return EncodingWriter(model, options).run();
}

}  // namespace thimble::formats::onnx
