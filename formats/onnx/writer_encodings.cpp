#include "formats/onnx/writer_encodings.h"

#include <algorithm>
#include <bit>
#include <set>

#include "formats/onnx/rewriter.h"
#include "formats/onnx/writer_activations.h"
#include "formats/onnx/writer_dequantize.h"
#include "formats/onnx/writer_emit.h"
#include "formats/onnx/writer_streams.h"
#include "ir/match.h"
#include "support/checked.h"

namespace thimble::formats::onnx {
namespace {

constexpr std::string_view kContrib = "com.microsoft";
constexpr std::int64_t kLargestBlock = 256, kLeastBlock = 16;

// How a weight is used, in all graphs.
struct Uses {
  bool gathered = false;
  bool multiplied = false;
};

// A Gather of rows of a matrix.
ir::ValueId table_of(const ir::Graph& graph, const ir::Node& node) {
  const bool rows = node.is("Gather") && node.integer("axis", 0) == 0 && node.inputs.size() == 2;
  return rows && node.inputs[0].valid() && graph.value(node.inputs[0]).weight.valid()
             ? node.inputs[0]
             : ir::ValueId{};
}

// Inputs that share a scale in MatMulNBits, so that every block lies in one group; 0: there is
// none. ONNX Runtime has no fast kernel for 2 bits in blocks of 16 or 256.
std::int64_t block_of(const ir::Weight& w, int bits) {
  const std::int64_t inputs = w.inputs(), group = w.encoding.group_size;
  if (inputs < 1 || w.rows() < 1) return 0;
  const std::int64_t most = bits == 2 ? kLargestBlock / 2 : kLargestBlock;
  if (w.encoding.groups(inputs) > 1 || (!w.encoding.per_tensor && group > 0)) {
    const auto low = static_cast<std::int64_t>(
        std::uint64_t{1} << std::countr_zero(static_cast<std::uint64_t>(group)));
    if (low >= kLeastBlock) return std::min(low, most);
    if (w.encoding.groups(inputs) > 1) return 0;
  }
  std::int64_t best = 0, least = 0;
  for (std::int64_t block = most; block >= kLeastBlock; block /= 2) {
    const std::int64_t cost = ceil_div(inputs, block) * (block * bits + 16);
    if (best == 0 || cost < least) best = block, least = cost;
  }
  return best;
}

// The same for rows that are gathered, which can't be filled up.
std::int64_t whole_block_of(const ir::Weight& w, int bits) {
  std::int64_t block = block_of(w, bits);
  while (block >= kLeastBlock && w.inputs() % block != 0) block /= 2;
  return block >= kLeastBlock ? block : 0;
}

class EncodingWriter {
 public:
  EncodingWriter(ir::Model& model, const EncodingOptions& options)
      : model_(model), options_(options), emit_(model), fixed_(model, emit_, codes_, notes_) {}

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
        uses_[linear->weight].multiplied = true;
      } else if (const ir::ValueId table = table_of(graph, graph.node(id)); table.valid()) {
        uses_[graph.value(table).weight].gathered = true;
      }
    }
  }

  Status write(ir::Graph& graph) {
    fixed_.start_graph(graph);
    dynamic_.clear();
    sums_.clear();
    folded_.clear();
    codes_.clear();
    for (const ir::NodeId id : graph.order()) {
      if (!graph.alive(id)) continue;
      emit_.move_to(graph, id, graph.node(id).name);
      if (const auto linear = ir::match_linear(model_, graph, id)) {
        if (is_encoded(model_, graph, linear->weight_value))
          THIMBLE_TRY(product(graph, id, *linear));
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
        fixed_.round_inputs(graph, id);
      }
    }
    erase_dead_transposes(graph);
    for (const ir::ValueId id : graph.constants()) {
      if (is_encoded(model_, graph, id)) THIMBLE_TRY(dequantize_constant(graph, id));
    }
    erase_dead_constants(graph);
    for (const auto& [value, name] : codes_) ir::rename(model_, graph, value, name);
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

  // ---- constants

  // A weight's codes are called what it was called, once its own constant is gone.
  ir::ValueId codes(ir::WeightId id, const std::string& form,
                    const std::function<ir::Weight()>& make) {
    const ir::ValueId value = emit_.constant(key_of(id, form), make);
    codes_[value] = model_.weight(id).name;
    return value;
  }

  struct Blocks {
    ir::ValueId codes, scales, zeros;
  };
  Blocks blocks(ir::WeightId id, const CodeForm& form, std::int64_t block) {
    const ir::Weight weight = model_.weight(id);
    const std::string tail = std::to_string(form.bits) + " " + std::to_string(block);
    Blocks out;
    out.codes = codes(id, "packed " + tail, [&] {
      ir::Weight made = packed_codes(weight, form, block);
      if (!uses_[id].multiplied) made.dims = {made.dims[0], made.dims[1] * made.dims[2]};
      return made;
    });
    out.scales =
        emit_.constant(key_of(id, "scales " + tail), [&] { return block_scales(weight, block); });
    if (form.points)
      out.zeros = emit_.constant(key_of(id, "zeros " + tail),
                                 [&] { return packed_zeros(weight, form, block); });
    tell_width(weight, form);
    return out;
  }

  void tell_width(const ir::Weight& weight, const CodeForm& form) {
    if (weight.encoding.bits < form.bits)
      notes_.add(weight, "written in codes of " + std::to_string(form.bits) + " bits instead of " +
                             std::to_string(weight.encoding.bits) + ": the same numbers");
  }

  // ---- products

  Status product(ir::Graph& graph, ir::NodeId id, const ir::Linear& linear) {
    const ir::Weight weight = model_.weight(linear.weight);
    const ir::Encoding& e = weight.encoding;
    if (linear.inputs < 1 || linear.rows < 1) return ok();
    const ir::ActivationScheme scheme = graph.value(linear.input).activation;
    const CodeForm form = code_form(e);
    const bool alone = !uses_[linear.weight].gathered;
    const bool bytes =
        e.groups(linear.inputs) == 1 && form.bits == 8 && e.zero != ir::ZeroKind::kMinima;
    if (alone && bytes && scheme == ir::ActivationScheme::kStatic)
      return fixed_product(graph, id, linear, form);
    const bool dynamic =
        scheme == ir::ActivationScheme::kInt8 || scheme == ir::ActivationScheme::kInt8Token;
    const std::int64_t level = options_.accuracy_level.value_or(level_of(scheme));
    if (alone && bytes && dynamic && level == 4) {
      dynamic_product(graph, id, linear, form);
      return ok();
    }
    const std::int64_t block =
        alone ? block_of(weight, form.bits) : whole_block_of(weight, form.bits);
    const bool minima = e.zero == ir::ZeroKind::kMinima;
    if (block == 0 || (minima && !has_block_sums(graph, linear, weight))) return ok();
    const ir::ValueId x = fixed_.rounded(graph, linear.input);
    const Blocks parts = blocks(linear.weight, form, block);
    const ir::ValueId bias = minima ? ir::ValueId{} : bias_of(graph, id);
    ir::ValueId y = emit_.node("MatMulNBits", {x, parts.codes, parts.scales, parts.zeros, {}, bias},
                               {{"K", linear.inputs},
                                {"N", linear.rows},
                                {"accuracy_level", level},
                                {"bits", std::int64_t{form.bits}},
                                {"block_size", block}},
                               name_of(graph, linear.output), kContrib);
    if (minima)
      y = emit_.node("Add", {y, minima_product(graph, x, linear.weight, form)}, {},
                     name_of(graph, linear.output));
    finish(graph, id, y, minima || !bias.valid());
    return ok();
  }

  // Two planes of int8 are next to floats, and there is no level for them.
  static std::int64_t level_of(ir::ActivationScheme scheme) {
    const bool floats =
        scheme == ir::ActivationScheme::kFloat || scheme == ir::ActivationScheme::kInt16;
    return floats ? 1 : 4;
  }

  static std::string name_of(const ir::Graph& graph, ir::ValueId value) {
    return graph.value(value).name;
  }

  // The [rows] that a Gemm adds; invalid where it adds none, or anything else.
  static ir::ValueId bias_of(const ir::Graph& graph, ir::NodeId id) {
    const ir::Node& node = graph.node(id);
    if (!node.is("Gemm") || node.inputs.size() < 3 || !node.inputs[2].valid()) return {};
    const auto& shape = graph.value(node.inputs[2]).shape;
    const bool vector = shape && shape->size() == 1 && (*shape)[0].constant().value_or(1) != 1;
    return vector ? node.inputs[2] : ir::ValueId{};
  }

  // y in the node's place; `add`: with the bias that a Gemm has.
  void finish(ir::Graph& graph, ir::NodeId id, ir::ValueId y, bool add) {
    const ir::Node& node = graph.node(id);
    if (add && node.is("Gemm") && node.inputs.size() > 2 && node.inputs[2].valid()) {
      const std::string name = name_of(graph, node.outputs[0]);
      y = emit_.node("Add", {y, node.inputs[2]}, {}, name);
    }
    Rewriter(model_, graph, id, kNewest).replace({y});
  }

  bool has_block_sums(const ir::Graph& graph, const ir::Linear& linear,
                      const ir::Weight& weight) const {
    const std::int64_t groups = weight.encoding.groups(linear.inputs);
    return graph.value(linear.input).shape &&
           (groups == 1 || linear.inputs % weight.encoding.group_size == 0);
  }

  // The sum of x over each group, times the group's minima.
  ir::ValueId minima_product(ir::Graph& graph, ir::ValueId x, ir::WeightId id,
                             const CodeForm& form) {
    const ir::Weight weight = model_.weight(id);
    const std::int64_t groups = weight.encoding.groups(weight.inputs());
    const std::string name = name_of(graph, x);
    const auto [known, is_new] = sums_.try_emplace({x, groups});
    if (is_new) {
      ir::ValueId split = x;
      if (groups > 1) {
        std::vector<std::int64_t> dims(graph.value(x).shape ? graph.value(x).shape->size() - 1 : 1,
                                       0);
        dims.push_back(groups);
        dims.push_back(weight.encoding.group_size);
        split = emit_.node("Reshape", {x, emit_.integers(dims)}, {}, name + "_groups");
      }
      known->second = emit_.node("ReduceSum", {split, emit_.integers({-1})},
                                 {{"keepdims", std::int64_t{groups == 1}}}, name + "_sums");
    }
    const ir::ValueId minima = emit_.constant(key_of(id, "minima"), [&] {
      ir::Weight made = group_minima(weight, form, Order::kColumns);
      if (groups == 1) made.dims = {1, made.dims[0]};
      return made;
    });
    return emit_.node("MatMul", {known->second, minima}, {}, name + "_minima");
  }

  struct Columns {
    ir::ValueId codes, scales, zeros;
  };
  // Codes i8 [inputs, rows], a scale and a zero for each column.
  Columns columns(ir::WeightId id, const CodeForm& form) {
    const ir::Weight weight = model_.weight(id);
    Columns out;
    out.codes =
        codes(id, "columns", [&] { return signed_codes(weight, form, {}, Order::kColumns); });
    out.scales = emit_.constant(key_of(id, "row scales"),
                                [&] { return group_scales(weight, Order::kRows); });
    out.zeros = emit_.constant(key_of(id, "row zeros"),
                               [&] { return signed_zeros(weight, form, Order::kRows); });
    tell_width(weight, form);
    return out;
  }

  Status fixed_product(ir::Graph& graph, ir::NodeId id, const ir::Linear& linear,
                       const CodeForm& form) {
    const Columns parts = columns(linear.weight, form);
    const std::string name = name_of(graph, linear.output);
    const ir::ValueId x = fixed_.rounded(graph, linear.input);
    const ir::ValueId w =
        emit_.node("DequantizeLinear", {parts.codes, parts.scales, parts.zeros},
                   {{"axis", std::int64_t{1}}}, model_.weight(linear.weight).name + "_dequantized");
    const ir::ValueId gemm_bias = bias_of(graph, id);
    if (!gemm_bias.valid()) {
      THIMBLE_TRY(fix_sum(graph, linear));
      finish(graph, id, emit_.node("MatMul", {x, w}, {}, name), true);
      return ok();
    }
    THIMBLE_ASSIGN(const ir::ValueId bias,
                   fixed_.bias(graph, linear.input, linear.weight, gemm_bias));
    finish(graph, id, emit_.node("Gemm", {x, w, bias}, {}, name), false);
    return ok();
  }

  // The Add of a constant to a product of matrices: ONNX Runtime makes a Gemm of the two, which is
  // one of integers only if the bias is.
  Status fix_sum(ir::Graph& graph, const ir::Linear& linear) {
    const auto& shape = graph.value(linear.input).shape;
    const std::vector<ir::NodeId> users = graph.users(linear.output);
    if (!shape || shape->size() != 2 || users.size() != 1 || !graph.node(users[0]).is("Add"))
      return ok();
    Rewriter sum(model_, graph, users[0], kNewest);
    const std::size_t other = sum.input(0) == linear.output ? 1 : 0;
    THIMBLE_ASSIGN(const ir::ValueId bias,
                   fixed_.bias(graph, linear.input, linear.weight, sum.input(other)));
    sum.set_input(other, bias);
    return ok();
  }

  // As ONNX Runtime's DynamicQuantizeMatMul is spelt.
  void dynamic_product(ir::Graph& graph, ir::NodeId id, const ir::Linear& linear,
                       const CodeForm& form) {
    const Columns parts = columns(linear.weight, form);
    const std::string x = name_of(graph, linear.input), y = name_of(graph, linear.output);
    auto [known, is_new] = dynamic_.try_emplace(linear.input);
    if (is_new)
      known->second = emit_.nodes("DynamicQuantizeLinear", {linear.input}, {},
                                  {x + "_quantized", x + "_scale", x + "_zero_point"});
    const std::vector<ir::ValueId> q = known->second;
    std::vector<ir::ValueId> inputs = {q[0], parts.codes, q[2]};
    if (form.points) inputs.push_back(parts.zeros);
    const ir::ValueId sum = emit_.node("MatMulInteger", std::move(inputs), {}, y + "_integers");
    graph.value(sum).dtype = ir::DType::kI32;
    const ir::ValueId real =
        emit_.node("Cast", {sum}, {{"to", std::int64_t{1}}}, y + "_integers_f32");
    const ir::ValueId scale = emit_.node("Mul", {q[1], parts.scales}, {}, y + "_scale");
    finish(graph, id, emit_.node("Mul", {real, scale}, {}, y), true);
  }

  Status convolution(ir::Graph& graph, ir::NodeId id, const ir::Convolution& conv) {
    if (graph.value(conv.input).activation != ir::ActivationScheme::kStatic) {
      folded_.insert(conv.weight);  // it computes in f32, fastest with constant weights
      return ok();
    }
    if (!fixed_.on_codes(id))
      notes_.add(model_.weight(conv.weight),
                 "convolved in floats by ONNX Runtime: the result has no fixed scale");
    Rewriter node(model_, graph, id, kNewest);
    const ir::ValueId x = fixed_.rounded(graph, conv.input);
    THIMBLE_ASSIGN(const ir::ValueId bias,
                   fixed_.bias(graph, conv.input, conv.weight, node.input(2)));
    node.set_input(0, x);
    if (bias.valid()) node.set_input(2, bias);
    return ok();
  }

  // ---- look-ups

  void look_up(ir::Graph& graph, ir::NodeId id, ir::WeightId table) {
    const ir::Weight weight = model_.weight(table);
    const CodeForm form = code_form(weight.encoding);
    const std::int64_t block = whole_block_of(weight, form.bits);
    if (weight.dims.size() != 2 || !last_axis(weight) || block == 0 ||
        weight.encoding.zero == ir::ZeroKind::kMinima)
      return;
    const ir::Node node = graph.node(id);
    const Blocks parts = blocks(table, form, block);
    ir::ValueId rows = parts.codes;
    if (uses_[table].multiplied) {  // their codes are one tensor, its rows cut into blocks
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
                   name_of(graph, node.outputs[0]), kContrib);
    Rewriter(model_, graph, id, kNewest).replace({y});
  }

  // ---- everything else

  Status dequantize_constant(ir::Graph& graph, ir::ValueId constant) {
    const bool output = graph.is_output(constant);
    if (!output && graph.users(constant).empty() && !ir::is_captured(model_, graph, constant))
      return ok();
    const std::vector<ir::NodeId> order = graph.order();
    const ir::Value value = graph.value(constant);
    emit_.move_to(graph, order.empty() ? ir::NodeId{} : order.front(), value.name);
    tell_width(model_.weight(value.weight), dequantized_form(model_.weight(value.weight)));
    const bool folded = folded_.contains(value.weight);
    const ir::ValueId real = dequantized(model_, value.weight, folded, emit_, codes_);
    graph.value(real).dtype = ir::DType::kF32;
    graph.value(real).shape = value.shape;
    ir::replace_uses(model_, graph, constant, real);
    if (output) {  // which keeps its name
      ir::rename(model_, graph, constant, value.name + "_encoded");
      ir::rename(model_, graph, real, value.name);
      for (auto& [codes, name] : codes_) name += name == value.name ? "_quantized" : "";
    }
    return ok();
  }

  static constexpr std::int64_t kNewest = 23;

  ir::Model& model_;
  const EncodingOptions& options_;
  Emitter emit_;
  std::map<ir::WeightId, Uses> uses_;
  WriterNotes notes_;
  // Of the graph that is being written:
  std::map<ir::ValueId, std::vector<ir::ValueId>> dynamic_;           // by x
  std::map<std::pair<ir::ValueId, std::int64_t>, ir::ValueId> sums_;  // by x and groups
  std::set<ir::WeightId> folded_;             // to be floats once the model is loaded
  std::map<ir::ValueId, std::string> codes_;  // constants, by the names that they are to get
  FixedActivations fixed_;
};

}  // namespace

Expected<std::vector<std::string>> write_encodings(ir::Model& model,
                                                   const EncodingOptions& options) {
  return EncodingWriter(model, options).run();
}

std::uint64_t encoded_bytes(const ir::Weight& weight) {
  const CodeForm form = code_form(weight.encoding);
  const std::int64_t block = std::max(block_of(weight, form.bits), kLeastBlock);
  std::uint64_t bytes =
      packed_codes(weight, form, block).byte_size() + block_scales(weight, block).byte_size();
  if (form.points) bytes += packed_zeros(weight, form, block).byte_size();
  if (weight.encoding.zero == ir::ZeroKind::kMinima)
    bytes += group_minima(weight, form, Order::kColumns).byte_size();
  return bytes;
}

}  // namespace thimble::formats::onnx
