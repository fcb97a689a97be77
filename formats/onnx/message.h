#pragma once
// A protocol-buffers message to be written: its bytes, but for the tensors' data, which is produced
// row by row when the file is. So a message's length is known while its weights were never read.

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ir/weight.h"

namespace thimble::formats::onnx {

class Message {
 public:
  // The rows of a dense weight stand before byte `at` of `bytes()`.
  struct Payload {
    std::size_t at = 0;
    const ir::Weight* weight = nullptr;
  };

  void number(std::uint32_t field, std::uint64_t value) {
    tag(field, 0);
    varint(value);
  }
  void integer(std::uint32_t field, std::int64_t value) {
    number(field, static_cast<std::uint64_t>(value));
  }
  void real(std::uint32_t field, float value) {
    tag(field, 5);
    const auto bits = std::bit_cast<std::uint32_t>(value);
    for (int i = 0; i < 4; ++i) bytes_ += static_cast<char>(bits >> (8 * i));
  }
  void text(std::uint32_t field, std::string_view value) {
    tag(field, 2);
    varint(value.size());
    bytes_ += value;
  }
  void message(std::uint32_t field, const Message& inner) {
    tag(field, 2);
    varint(inner.size());
    for (const Payload& payload : inner.payloads_) {
      payloads_.push_back({bytes_.size() + payload.at, payload.weight});
    }
    bytes_ += inner.bytes_;
    payload_bytes_ += inner.payload_bytes_;
  }
  void data(std::uint32_t field, const ir::Weight& weight) {
    tag(field, 2);
    varint(weight.byte_size());
    payloads_.push_back({bytes_.size(), &weight});
    payload_bytes_ += weight.byte_size();
  }

  std::uint64_t size() const { return bytes_.size() + payload_bytes_; }
  std::uint64_t payload_bytes() const { return payload_bytes_; }
  const std::string& bytes() const { return bytes_; }
  const std::vector<Payload>& payloads() const { return payloads_; }  // in order

 private:
  void tag(std::uint32_t field, std::uint32_t wire) { varint(field << 3 | wire); }
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }

  std::string bytes_;
  std::vector<Payload> payloads_;
  std::uint64_t payload_bytes_ = 0;
};

}  // namespace thimble::formats::onnx
