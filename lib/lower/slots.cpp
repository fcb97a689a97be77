// Values as slots, and weights as tensors, one for each form that instructions ask for.

#include <numeric>

#include "ir/turned.h"
#include "lower/lowering.h"
#include "lower/payload.h"

namespace thimble::lower {
namespace {

std::optional<program::Type> program_type(ir::DType type) {
  switch (type) {
    case ir::DType::kUndefined:
    case ir::DType::kString:
    case ir::DType::kC64:
    case ir::DType::kC128:
      return std::nullopt;
    default:
      return static_cast<program::Type>(type);  // both number types as ONNX does
  }
}

// A table that Gather reads, and perhaps a product too, keeps its float type; every other float
// constant that isn't a product's weight computes in f32.
bool is_table(const ir::Graph& graph, ir::ValueId value) {
  bool gathered = false;
  for (const ir::NodeId user : graph.users(value)) {
    const ir::Node& node = graph.node(user);
    if (node.is("Gather") && node.inputs[0] == value && node.integer("axis", 0) == 0) {
      gathered = true;
    } else if (!node.is("Transpose") && !node.is("MatMul")) {
      return false;
    }
  }
  return gathered;
}

// The type of the value or weight of that name; an error where the runtime has none.
Expected<program::Type> computed_type(ir::DType type, const std::string& name) {
  if (const auto known = program_type(type)) return *known;
  return unsupported("the runtime does not compute with " + std::string(ir::dtype_name(type)))
      .at_tensor(name);
}

}  // namespace

Expected<program::Slot> Lowering::describe(ir::ValueId id) {
  const ir::Value& value = graph().value(id);
  program::Slot slot;
  slot.name = value.name;
  THIMBLE_ASSIGN(slot.type, computed_type(value.dtype, value.name));
  slot.dynamic = !value.shape || !is_entry();
  if (slot.dynamic) return slot;
  for (const ir::Dim& dim : *value.shape) {
    THIMBLE_ASSIGN(program::Size steps, size(dim));
    slot.dims.push_back(std::move(steps));
  }
  return slot;
}

std::int32_t Lowering::add_slot(program::Slot slot) {
  program().slots.push_back(std::move(slot));
  return static_cast<std::int32_t>(program().slots.size()) - 1;
}

Expected<std::int32_t> Lowering::slot(ir::ValueId value) {
  if (!value.valid()) return -1;
  auto& slots = scope().slots;
  if (const auto known = slots.find(value.index); known != slots.end()) return known->second;
  if (graph().value(value).weight.valid()) {
    THIMBLE_ASSIGN(const std::int32_t index, add_constant(value));
    return slots[value.index] = index;
  }
  THIMBLE_ASSIGN(program::Slot described, describe(value));
  return slots[value.index] = add_slot(std::move(described));
}

std::int32_t Lowering::add_tensor(program::Tensor tensor, std::unique_ptr<Payload> payload) {
  const std::vector<std::uint64_t> bytes = payload->piece_bytes();
  for (const std::uint64_t piece : bytes) {
    tensor.segments.push_back(static_cast<std::int32_t>(program().segments.size()));
    program().segments.push_back(
        {.offset = 0, .size = piece * static_cast<std::uint64_t>(payload->pieces()), .digest = {}});
  }
  out_.weight_names.push_back(tensor.name);
  out_.payloads.push_back(std::move(payload));
  program().tensors.push_back(std::move(tensor));
  return static_cast<std::int32_t>(program().tensors.size()) - 1;
}

std::int32_t Lowering::add_constant_slot(ir::ValueId value, program::Tensor tensor,
                                         std::unique_ptr<Payload> payload) {
  program::Slot described;
  described.tensor = add_tensor(std::move(tensor), std::move(payload));
  const program::Tensor& t = program().tensors.back();
  described.name = graph().value(value).name;
  described.kind = program::Slot::Kind::kConstant;
  // Elements in rows are what they are; the others decode to f32.
  described.type = t.layout == program::Layout::kRowMajor ? t.type : program::Type::kF32;
  for (const std::int64_t dim : t.dims)
    described.dims.push_back({{program::SizeStep::Op::kConstant, dim}});
  return add_slot(std::move(described));
}

// A tied table is one tensor: when a product of the same weight comes along, it finds the Gather's.
Expected<std::int32_t> Lowering::add_constant(ir::ValueId value) {
  const ir::WeightId id = graph().value(value).weight;
  const ir::Weight& weight = model_.weight(id);
  const bool table = weight.dims.size() == 2 && is_table(graph(), value);
  if (const auto known = linear_slots_.find({id, false}); known != linear_slots_.end())
    return known->second;
  if (const auto known = constant_slots_.find(id); known != constant_slots_.end())
    return known->second;
  if (!weight.encoding.is_dense()) {
    THIMBLE_ASSIGN(program::Tensor tiles, tile_tensor(weight));
    auto payload = tile_payload(weight, tiles);
    const std::int32_t index = add_constant_slot(value, std::move(tiles), std::move(payload));
    return linear_slots_[{id, false}] = index;
  }
  THIMBLE_ASSIGN(const program::Type type, computed_type(weight.dtype, weight.name));
  program::Tensor tensor{.name = weight.name, .type = type, .dims = weight.dims};
  const bool reads_f32 =
      graph().value(value).dtype == ir::DType::kF32 && weight.dtype != ir::DType::kF32 && !table;
  const bool as_f32 = reads_f32 && stored_type(weight) == program::Type::kF32;
  if (as_f32) tensor.type = program::Type::kF32;
  auto payload = as_f32 ? f32_payload(weight) : dense_payload(weight);
  const std::int32_t index = add_constant_slot(value, std::move(tensor), std::move(payload));
  if (reads_f32) program().slots[static_cast<std::size_t>(index)].type = program::Type::kF32;
  return (table ? linear_slots_[{id, false}] : constant_slots_[id]) = index;
}

std::int32_t Lowering::decoded_slot(ir::ValueId value) {
  const ir::WeightId id = graph().value(value).weight;
  if (const auto known = decoded_slots_.find(id); known != decoded_slots_.end())
    return known->second;
  const ir::Weight& weight = model_.weight(id);
  program::Tensor tensor{.name = weight.name, .type = program::Type::kF32, .dims = weight.dims};
  return decoded_slots_[id] = add_constant_slot(value, std::move(tensor), f32_payload(weight));
}

Expected<std::int32_t> Lowering::kernel_slot(ir::ValueId value) {
  const ir::WeightId id = graph().value(value).weight;
  if (const auto known = kernel_slots_.find(id); known != kernel_slots_.end()) return known->second;
  const ir::Weight& weight = model_.weight(id);
  auto tiles = tile_tensor(weight);
  if (!tiles || !weight.encoding.flat) return decoded_slot(value);
  THIMBLE_ASSIGN(const std::vector<std::uint64_t> bytes, program::stream_bytes(*tiles));
  const auto coded = std::accumulate(bytes.begin(), bytes.end(), std::uint64_t{0});
  if (coded >= static_cast<std::uint64_t>(weight.element_count()) * sizeof(float))
    return decoded_slot(value);
  auto payload = tile_payload(weight, *tiles);
  return kernel_slots_[id] = add_constant_slot(value, std::move(*tiles), std::move(payload));
}

Expected<std::int32_t> Lowering::weight_slot(const ir::Linear& linear) {
  const ir::Weight& weight = model_.weight(linear.weight);
  const bool transposed = weight.encoding.is_dense() && linear.axis == 0;
  const std::pair key(linear.weight, transposed);
  if (const auto known = linear_slots_.find(key); known != linear_slots_.end())
    return known->second;
  program::Tensor tensor;
  std::unique_ptr<Payload> payload;
  if (!weight.encoding.is_dense()) {
    THIMBLE_ASSIGN(tensor, tile_tensor(weight));
    payload = tile_payload(weight, tensor);
  } else {
    const bool wide = weight.dtype == ir::DType::kF64;  // no kernel multiplies f64 weights
    const auto type = program_type(weight.dtype);
    if (!type || !ir::dtype_is_float(weight.dtype) || (wide && transposed)) {
      return unsupported("no product with weights of type " +
                         std::string(ir::dtype_name(weight.dtype)))
          .at_tensor(weight.name);
    }
    tensor = {.name = weight.name,
              .type = wide ? program::Type::kF32 : *type,
              .dims = {linear.rows, linear.inputs}};
    payload = transposed ? dense_payload(ir::turned(weight))
              : wide     ? f32_payload(weight)
                         : dense_payload(weight);
  }
  return linear_slots_[key] =
             add_constant_slot(linear.weight_value, std::move(tensor), std::move(payload));
}

}  // namespace thimble::lower
