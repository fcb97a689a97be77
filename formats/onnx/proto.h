#pragma once
// An .onnx file as plain structs. Text and data are views of the mapped file: whoever holds a
// struct keeps the mapping. Field numbers are those of onnx.proto; what we don't read is skipped,
// but for things that change what a model computes, which are noted so that the reader can refuse
// them.
//
// Every length is checked against the bytes that are there, and messages nest at most kMaxDepth
// deep.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "support/expected.h"

namespace thimble::formats::onnx {

inline constexpr int kMaxDepth = 64;  // graphs in attributes of nodes of graphs ...

struct KeyValue {
  std::string_view key;
  std::string_view value;
};

struct TensorInfo {
  std::string_view name;
  std::vector<std::int64_t> dims;
  std::int64_t data_type = 0;  // TensorProto.DataType, numbered as ir::DType
  std::optional<std::span<const std::byte>> raw_data;
  std::vector<KeyValue> external_data;
  bool external = false;               // data_location
  bool segmented = false;              // has a segment: TensorProto never uses it
  std::span<const std::byte> message;  // the whole TensorProto: typed data is read from it
  std::uint64_t offset = 0;            // of the message in the file
};

struct Dimension {
  std::optional<std::int64_t> value;
  std::string_view parameter;
};

enum class TypeKind : std::uint8_t {
  kMissing,
  kTensor,
  kSequence,
  kMap,
  kOpaque,
  kSparseTensor,
  kOptional
};
std::string_view type_kind_name(TypeKind kind);

struct ValueInfo {
  std::string_view name;
  TypeKind kind = TypeKind::kMissing;
  std::int64_t element_type = 0;
  std::optional<std::vector<Dimension>> shape;  // nullopt: the rank isn't known
};

struct GraphInfo;

enum class AttributeType : std::uint8_t {
  kUndefined = 0,
  kFloat = 1,
  kInt = 2,
  kString = 3,
  kTensor = 4,
  kGraph = 5,
  kFloats = 6,
  kInts = 7,
  kStrings = 8,
  kTensors = 9,
  kGraphs = 10,
  kSparseTensor = 11,
  kSparseTensors = 12,
  kTypeProto = 13,
  kTypeProtos = 14,
};

struct AttributeInfo {
  std::string_view name;
  std::string_view reference;  // ref_attr_name: the attribute of the function that is meant
  AttributeType type = AttributeType::kUndefined;  // old files leave it out: then what is there
  float real = 0;
  std::int64_t integer = 0;
  std::string_view text;
  std::shared_ptr<const TensorInfo> tensor;
  std::shared_ptr<const GraphInfo> graph;
  std::vector<float> reals;
  std::vector<std::int64_t> integers;
  std::vector<std::string_view> texts;
};

struct NodeInfo {
  std::string_view name;
  std::string_view op;
  std::string_view domain;  // "ai.onnx" is read as ""
  std::string_view overload;
  std::vector<std::string_view> inputs;   // empty: absent
  std::vector<std::string_view> outputs;  // empty: absent
  std::vector<AttributeInfo> attributes;
};

struct GraphInfo {
  std::string_view name;
  std::vector<NodeInfo> nodes;
  std::vector<TensorInfo> initializers;
  std::vector<std::string_view> sparse_initializers;  // names only
  std::vector<ValueInfo> inputs;
  std::vector<ValueInfo> outputs;
};

struct OpsetImport {
  std::string_view domain;
  std::int64_t version = 0;
};

struct FunctionInfo {
  std::string_view name;
  std::string_view domain;
  std::string_view overload;
  std::vector<std::string_view> inputs;
  std::vector<std::string_view> outputs;
  std::vector<std::string_view> attributes;  // without a default
  std::vector<AttributeInfo> defaults;
  std::vector<NodeInfo> nodes;
  std::vector<OpsetImport> opsets;
};

struct ModelInfo {
  std::int64_t ir_version = 0;
  std::string_view producer_name;
  std::string_view producer_version;
  std::vector<OpsetImport> opsets;
  std::vector<KeyValue> metadata;
  std::optional<GraphInfo> graph;
  std::vector<FunctionInfo> functions;

  // Of the default domain; 1 when the file doesn't say, as in IR 1 and 2.
  std::int64_t opset() const;
};

// The bytes of a file. Errors carry the offset at which the bytes stop making sense.
Expected<ModelInfo> parse_model(std::span<const std::byte> bytes);
// The bytes of a bare TensorProto, as in the data sets of ONNX's backend tests.
Expected<TensorInfo> parse_tensor(std::span<const std::byte> bytes, std::uint64_t offset = 0);

}  // namespace thimble::formats::onnx
