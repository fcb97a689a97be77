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
  Status (*infer)(ShapeContext&) = nullptr;
};

std::span<const OpSchema> operators();
const OpSchema* find_operator(std::string_view domain, std::string_view name);  // null: unknown

}  // namespace thimble::ir
