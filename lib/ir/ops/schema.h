#pragma once
// The operator table: what a node of each operator may look like and what shape comes out of it.
//
// One line per operator; the table is written out in table.cpp. Verifier, shape inference, the text
// parser and the formats all read this table.

#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <vector>

#include "ir/dtype.h"
#include "support/expected.h"

namespace thimble::ir {

class ShapeContext;

// In the order of AttributeValue's alternatives.
enum class AttributeKind : std::uint8_t {
  kInteger,
  kReal,
  kText,
  kIntegers,
  kReals,
  kTexts,
  kWeight,
  kGraph,
};
std::string_view attribute_kind_name(AttributeKind kind);

struct AttributeSchema {
  std::string_view name;
  AttributeKind kind = AttributeKind::kInteger;
  bool required = false;
};

inline constexpr int kAnyNumber = std::numeric_limits<int>::max();

struct OpSchema {
  std::string_view domain;  // "" is ai.onnx
  std::string_view name;
  int min_inputs = 1;  // inputs beyond these are optional
  int max_inputs = 1;
  int min_outputs = 1;
  int max_outputs = 1;
  std::vector<AttributeSchema> attributes;
  // Null where no shape can be told before the model runs.
  Status (*infer)(ShapeContext&) = nullptr;
  // The type of a result where `infer` is null or lacks a shape or an element; null: input 0's.
  DType (*type)(const ShapeContext&, std::size_t output) = nullptr;
};

// Types of results for OpSchema::type.
namespace types {
DType boolean(const ShapeContext& context, std::size_t output);
DType i64(const ShapeContext& context, std::size_t output);
DType second(const ShapeContext& context, std::size_t output);  // input 1's
DType third(const ShapeContext& context, std::size_t output);   // input 2's
DType target(const ShapeContext& context,
             std::size_t output);  // attribute `to` or `dtype`; else input 0's
DType value_or_f32(const ShapeContext& context, std::size_t output);  // attribute `value`'s
DType i32(const ShapeContext& context, std::size_t output);
DType eighth(const ShapeContext& context, std::size_t output);  // input 7's
// Input 0's, then i64.
DType value_and_index(const ShapeContext& context, std::size_t output);
DType quantized(const ShapeContext& context, std::size_t output);    // QuantizeLinear's
DType dequantized(const ShapeContext& context, std::size_t output);  // DequantizeLinear's
DType quantized_dynamically(const ShapeContext& context, std::size_t output);
}  // namespace types

std::span<const OpSchema> operators();

// Parts of the table.
std::vector<OpSchema> arithmetic_schemas();  // table_arithmetic.cpp
std::vector<OpSchema> image_schemas();       // table_images.cpp
std::vector<OpSchema> selection_schemas();   // table_selection.cpp
std::vector<OpSchema> control_schemas();     // table_control.cpp
const OpSchema* find_operator(std::string_view domain, std::string_view name);  // null: unknown

}  // namespace thimble::ir
