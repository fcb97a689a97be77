#include "formats/onnx/proto.h"

#include <bit>

#include "support/wire.h"

namespace thimble::formats::onnx {
namespace {

using wire::each_field;
using wire::each_number;
using wire::Field;
using wire::Type;

// A message: its bytes, where they lie in the file, and how deep.
struct Part {
  std::span<const std::byte> bytes;
  std::uint64_t offset = 0;
  int depth = 0;
};

Error wrong_type(const Field& field) {
  return invalid_file("field " + std::to_string(field.number) + " has another wire type")
      .at_offset(field.offset);
}

Expected<std::string_view> text_of(const Field& field) {
  if (field.type != Type::kBytes) return wrong_type(field);
  return field.text();
}

Expected<std::int64_t> integer_of(const Field& field) {
  if (field.type != Type::kVarint) return wrong_type(field);
  return static_cast<std::int64_t>(field.value);
}

Expected<Part> part_of(const Field& field, const Part& outer) {
  if (field.type != Type::kBytes) return wrong_type(field);
  if (outer.depth + 1 > kMaxDepth) {
    return invalid_file("messages nest deeper than " + std::to_string(kMaxDepth))
        .at_offset(field.offset);
  }
  return Part{field.bytes, field.offset, outer.depth + 1};
}

// What was read of a field, into its place.
template <class T, class Read>
Status set(T& place, Expected<Read> value) {
  if (!value) return std::move(value).error();
  place = *std::move(value);
  return ok();
}

template <class Visit>
Status each_field(const Part& message, Visit visit) {
  return each_field(message.bytes, message.offset, visit);
}

Status add_text(const Field& field, std::vector<std::string_view>& out) {
  THIMBLE_ASSIGN(const auto text, text_of(field));
  out.push_back(text);
  return ok();
}

Status add_integers(const Field& field, std::vector<std::int64_t>& out) {
  return each_number(field, Type::kVarint, [&](std::uint64_t value) -> Status {
    out.push_back(static_cast<std::int64_t>(value));
    return ok();
  });
}

Status set_domain(const Field& field, std::string_view& out) {
  THIMBLE_ASSIGN(const auto domain, text_of(field));
  out = domain == "ai.onnx" ? std::string_view() : domain;
  return ok();
}

// Reads a repeated message into the back of a list.
template <class T, class Read>
Status add_part(const Field& field, const Part& outer, std::vector<T>& out, Read read) {
  THIMBLE_ASSIGN(const Part message, part_of(field, outer));
  THIMBLE_ASSIGN(T one, read(message));
  out.push_back(std::move(one));
  return ok();
}

Expected<KeyValue> read_key_value(const Part& message) {
  KeyValue entry;
  THIMBLE_TRY(each_field(message, [&](const Field& field) -> Status {
    if (field.number == 1) return set(entry.key, text_of(field));
    if (field.number == 2) return set(entry.value, text_of(field));
    return ok();
  }));
  return entry;
}

Status tensor_field(const Field& field, const Part& outer, TensorInfo& tensor) {
  switch (field.number) {
    case 1:
      return add_integers(field, tensor.dims);
    case 2:
      return set(tensor.data_type, integer_of(field));
    case 3:
      tensor.segmented = true;
      return ok();
    case 8:
      return set(tensor.name, text_of(field));
    case 9:
      if (field.type != Type::kBytes) return wrong_type(field);
      tensor.raw_data = field.bytes;
      return ok();
    case 13:
      return add_part(field, outer, tensor.external_data, read_key_value);
    case 14: {
      THIMBLE_ASSIGN(const std::int64_t location, integer_of(field));
      tensor.external = location == 1;
      return location == 0 || location == 1
                 ? ok()
                 : Status(invalid_file("a tensor's data lies at an unknown kind of place")
                              .at_offset(field.offset));
    }
    default:
      return ok();
  }
}

Expected<TensorInfo> read_tensor_info(const Part& message) {
  TensorInfo tensor;
  tensor.message = message.bytes;
  tensor.offset = message.offset;
  Status status =
      each_field(message, [&](const Field& field) { return tensor_field(field, message, tensor); });
  if (!status) return std::move(status).error().at_tensor(std::string(tensor.name));
  return tensor;
}

// SparseTensorProto: its values (field 1) carry the name.
Expected<std::string_view> read_sparse_name(const Part& message) {
  std::string_view name;
  THIMBLE_TRY(each_field(message, [&](const Field& field) -> Status {
    if (field.number != 1) return ok();
    THIMBLE_ASSIGN(const Part values, part_of(field, message));
    THIMBLE_ASSIGN(const TensorInfo tensor, read_tensor_info(values));
    name = tensor.name;
    return ok();
  }));
  return name;
}

Expected<Dimension> read_dimension(const Part& message) {
  Dimension dim;
  THIMBLE_TRY(each_field(message, [&](const Field& field) -> Status {
    if (field.number == 1) return set(dim.value, integer_of(field));
    if (field.number == 2) return set(dim.parameter, text_of(field));
    return ok();
  }));
  return dim;
}

Expected<std::vector<Dimension>> read_shape(const Part& message) {
  std::vector<Dimension> dims;
  THIMBLE_TRY(each_field(message, [&](const Field& field) {
    return field.number == 1 ? add_part(field, message, dims, read_dimension) : ok();
  }));
  return dims;
}

// TypeProto.Tensor
Status read_tensor_type(const Part& message, ValueInfo& value) {
  return each_field(message, [&](const Field& field) -> Status {
    if (field.number == 1) return set(value.element_type, integer_of(field));
    if (field.number != 2) return ok();
    THIMBLE_ASSIGN(const Part shape, part_of(field, message));
    return set(value.shape, read_shape(shape));
  });
}

Status read_type(const Part& message, ValueInfo& value) {
  return each_field(message, [&](const Field& field) -> Status {
    switch (field.number) {
      case 1: {
        value.kind = TypeKind::kTensor;
        THIMBLE_ASSIGN(const Part tensor, part_of(field, message));
        return read_tensor_type(tensor, value);
      }
      case 4:
        value.kind = TypeKind::kSequence;
        return ok();
      case 5:
        value.kind = TypeKind::kMap;
        return ok();
      case 7:
        value.kind = TypeKind::kOpaque;
        return ok();
      case 8:
        value.kind = TypeKind::kSparseTensor;
        return ok();
      case 9:
        value.kind = TypeKind::kOptional;
        return ok();
      default:
        return ok();
    }
  });
}

Expected<ValueInfo> read_value_info(const Part& message) {
  ValueInfo value;
  THIMBLE_TRY(each_field(message, [&](const Field& field) -> Status {
    if (field.number == 1) return set(value.name, text_of(field));
    if (field.number != 2) return ok();
    THIMBLE_ASSIGN(const Part type, part_of(field, message));
    return read_type(type, value);
  }));
  return value;
}

Expected<GraphInfo> read_graph(const Part& message);

Status attribute_field(const Field& field, const Part& outer, AttributeInfo& attribute) {
  switch (field.number) {
    case 1:
      return set(attribute.name, text_of(field));
    case 2:
      if (field.type != Type::kFixed32) return wrong_type(field);
      attribute.real = std::bit_cast<float>(static_cast<std::uint32_t>(field.value));
      return ok();
    case 3:
      return set(attribute.integer, integer_of(field));
    case 4:
      return set(attribute.text, text_of(field));
    case 5: {
      THIMBLE_ASSIGN(const Part message, part_of(field, outer));
      THIMBLE_ASSIGN(TensorInfo tensor, read_tensor_info(message));
      attribute.tensor = std::make_shared<const TensorInfo>(std::move(tensor));
      return ok();
    }
    case 6: {
      THIMBLE_ASSIGN(const Part message, part_of(field, outer));
      THIMBLE_ASSIGN(GraphInfo graph, read_graph(message));
      attribute.graph = std::make_shared<const GraphInfo>(std::move(graph));
      return ok();
    }
    case 7:
      return each_number(field, Type::kFixed32, [&](std::uint64_t bits) -> Status {
        attribute.reals.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
        return ok();
      });
    case 8:
      return add_integers(field, attribute.integers);
    case 9:
      return add_text(field, attribute.texts);
    case 20: {
      THIMBLE_ASSIGN(const std::int64_t type, integer_of(field));
      if (type < 0 || type > static_cast<std::int64_t>(AttributeType::kTypeProtos)) {
        return invalid_file("an attribute is of an unknown type").at_offset(field.offset);
      }
      attribute.type = static_cast<AttributeType>(type);
      return ok();
    }
    case 21:
      return set(attribute.reference, text_of(field));
    default:
      return ok();
  }
}

// What an attribute without a type holds, by the field that is there (files before IR 2).
AttributeType type_by_field(std::uint32_t number) {
  constexpr AttributeType kByField[] = {
      AttributeType::kUndefined, AttributeType::kUndefined, AttributeType::kFloat,
      AttributeType::kInt,       AttributeType::kString,    AttributeType::kTensor,
      AttributeType::kGraph,     AttributeType::kFloats,    AttributeType::kInts,
      AttributeType::kStrings,   AttributeType::kTensors,   AttributeType::kGraphs,
  };
  return number < std::size(kByField) ? kByField[number] : AttributeType::kUndefined;
}

Expected<AttributeInfo> read_attribute(const Part& message) {
  AttributeInfo attribute;
  AttributeType seen = AttributeType::kUndefined;
  THIMBLE_TRY(each_field(message, [&](const Field& field) {
    if (const AttributeType type = type_by_field(field.number); type != AttributeType::kUndefined) {
      seen = type;
    }
    return attribute_field(field, message, attribute);
  }));
  if (attribute.name.empty()) {
    return invalid_file("an attribute has no name").at_offset(message.offset);
  }
  if (attribute.type == AttributeType::kUndefined) attribute.type = seen;
  return attribute;
}

Expected<NodeInfo> read_node(const Part& message) {
  NodeInfo node;
  Status status = each_field(message, [&](const Field& field) -> Status {
    switch (field.number) {
      case 1:
        return add_text(field, node.inputs);
      case 2:
        return add_text(field, node.outputs);
      case 3:
        return set(node.name, text_of(field));
      case 4:
        return set(node.op, text_of(field));
      case 5:
        return add_part(field, message, node.attributes, read_attribute);
      case 7:
        return set_domain(field, node.domain);
      case 8:
        return set(node.overload, text_of(field));
      default:
        return ok();
    }
  });
  if (!status) {
    return std::move(status).error().at_tensor(
        std::string(node.name.empty() ? node.op : node.name));
  }
  if (node.op.empty()) return invalid_file("a node names no operator").at_offset(message.offset);
  return node;
}

Expected<GraphInfo> read_graph(const Part& message) {
  GraphInfo graph;
  THIMBLE_TRY(each_field(message, [&](const Field& field) -> Status {
    switch (field.number) {
      case 1:
        return add_part(field, message, graph.nodes, read_node);
      case 2:
        return set(graph.name, text_of(field));
      case 5:
        return add_part(field, message, graph.initializers, read_tensor_info);
      case 11:
        return add_part(field, message, graph.inputs, read_value_info);
      case 12:
        return add_part(field, message, graph.outputs, read_value_info);
      case 15:
        return add_part(field, message, graph.sparse_initializers, read_sparse_name);
      default:
        return ok();
    }
  }));
  return graph;
}

Expected<OpsetImport> read_opset(const Part& message) {
  OpsetImport opset;
  THIMBLE_TRY(each_field(message, [&](const Field& field) -> Status {
    if (field.number == 1) return set_domain(field, opset.domain);
    if (field.number == 2) return set(opset.version, integer_of(field));
    return ok();
  }));
  return opset;
}

Expected<FunctionInfo> read_function(const Part& message) {
  FunctionInfo function;
  THIMBLE_TRY(each_field(message, [&](const Field& field) -> Status {
    switch (field.number) {
      case 1:
        return set(function.name, text_of(field));
      case 4:
        return add_text(field, function.inputs);
      case 5:
        return add_text(field, function.outputs);
      case 6:
        return add_text(field, function.attributes);
      case 7:
        return add_part(field, message, function.nodes, read_node);
      case 9:
        return add_part(field, message, function.opsets, read_opset);
      case 10:
        return set_domain(field, function.domain);
      case 11:
        return add_part(field, message, function.defaults, read_attribute);
      case 13:
        return set(function.overload, text_of(field));
      default:
        return ok();
    }
  }));
  return function;
}

Status model_field(const Field& field, const Part& message, ModelInfo& model) {
  switch (field.number) {
    case 1:
      return set(model.ir_version, integer_of(field));
    case 2:
      return set(model.producer_name, text_of(field));
    case 3:
      return set(model.producer_version, text_of(field));
    case 7: {
      if (model.graph) return invalid_file("the file has two graphs").at_offset(field.offset);
      THIMBLE_ASSIGN(const Part graph, part_of(field, message));
      return set(model.graph, read_graph(graph));
    }
    case 8:
      return add_part(field, message, model.opsets, read_opset);
    case 14:
      return add_part(field, message, model.metadata, read_key_value);
    case 25:
      return add_part(field, message, model.functions, read_function);
    default:
      return ok();
  }
}

}  // namespace

std::string_view type_kind_name(TypeKind kind) {
  switch (kind) {
    case TypeKind::kMissing:
      return "nothing that is known";
    case TypeKind::kTensor:
      return "a tensor";
    case TypeKind::kSequence:
      return "a sequence";
    case TypeKind::kMap:
      return "a map";
    case TypeKind::kOpaque:
      return "opaque";
    case TypeKind::kSparseTensor:
      return "a sparse tensor";
    case TypeKind::kOptional:
      return "an optional";
  }
  return "";
}

std::int64_t ModelInfo::opset() const {
  for (const OpsetImport& import : opsets) {
    if (import.domain.empty()) return import.version;
  }
  return 1;
}

Expected<ModelInfo> parse_model(std::span<const std::byte> bytes) {
  ModelInfo model;
  const Part message{bytes, 0, 0};
  THIMBLE_TRY(
      each_field(bytes, 0, [&](const Field& field) { return model_field(field, message, model); }));
  if (model.ir_version < 1 || !model.graph) {
    return invalid_file("not an ONNX model: it has no IR version or no graph");
  }
  return model;
}

Expected<TensorInfo> parse_tensor(std::span<const std::byte> bytes, std::uint64_t offset) {
  return read_tensor_info({bytes, offset, 0});
}

}  // namespace thimble::formats::onnx
