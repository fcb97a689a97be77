#pragma once
// Hand-made .onnx bytes: fields by the numbers of onnx.proto.

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string>
#include <vector>

#include "unit/support/scratch_folder.h"

namespace thimble::formats::onnx {

inline std::string varint(std::uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>((value & 0x7f) | 0x80);
  return out + static_cast<char>(value);
}
inline std::string number(std::uint32_t field, std::int64_t value) {
  return varint(field << 3) + varint(static_cast<std::uint64_t>(value));
}
inline std::string text(std::uint32_t field, const std::string& bytes) {
  return varint(field << 3 | 2) + varint(bytes.size()) + bytes;
}
inline std::string real(std::uint32_t field, float value) {
  std::string bytes(4, '\0');
  std::memcpy(bytes.data(), &value, 4);
  return varint(field << 3 | 5) + bytes;
}
inline std::string join(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& part : parts) out += part;
  return out;
}

inline std::string attribute(const std::string& name, int type, const std::string& value) {
  return text(5, text(1, name) + value + number(20, type));
}
inline std::string node(const std::string& op, const std::vector<std::string>& inputs,
                        const std::vector<std::string>& outputs, const std::string& attributes = "",
                        const std::string& domain = "") {
  std::string out;
  for (const std::string& input : inputs) out += text(1, input);
  for (const std::string& output : outputs) out += text(2, output);
  out += text(4, op) + attributes;
  return domain.empty() ? out : out + text(7, domain);
}
inline std::string n(const std::string& message) { return text(1, message); }  // GraphProto.node

// A dimension is a number or, when it doesn't begin with a digit, a parameter; "" is unknown.
inline std::string tensor_type(int type, const std::vector<std::string>& dims) {
  std::string shape;
  for (const std::string& dim : dims) {
    const bool is_number = !dim.empty() && dim[0] >= '0' && dim[0] <= '9';
    shape += text(1, dim.empty() ? "" : is_number ? number(1, std::stoll(dim)) : text(2, dim));
  }
  return text(1, number(1, type) + text(2, shape));
}
inline std::string value_info(const std::string& name, int type,
                              const std::vector<std::string>& dims) {
  return text(1, name) + text(2, tensor_type(type, dims));
}
inline std::string input(const std::string& name, int type, const std::vector<std::string>& dims) {
  return text(11, value_info(name, type, dims));
}
inline std::string output(const std::string& name, int type, const std::vector<std::string>& dims) {
  return text(12, value_info(name, type, dims));
}
// The head of a TensorProto: data follows.
inline std::string tensor(const std::string& name, int type,
                          const std::vector<std::int64_t>& dims) {
  std::string out;
  for (const std::int64_t dim : dims) out += number(1, dim);
  return out + number(2, type) + text(8, name);
}
inline std::string floats(const std::string& name, const std::vector<std::int64_t>& dims,
                          const std::vector<float>& values) {
  std::string raw(values.size() * 4, '\0');
  if (!values.empty()) std::memcpy(raw.data(), values.data(), raw.size());
  return tensor(name, 1, dims) + text(9, raw);
}
inline std::string model_bytes(const std::string& graph, std::int64_t opset = 17,
                               std::int64_t ir_version = 8, const std::string& rest = "") {
  return number(1, ir_version) + text(2, "test") + text(7, graph) + text(8, number(2, opset)) +
         rest;
}

}  // namespace thimble::formats::onnx
