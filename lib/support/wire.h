#pragma once
// The wire format of protocol buffers, scanned in place: a message is a run of fields, each a
// number, a wire type and a payload. Nothing is copied, and a message may be larger than 2 GB.
// (Encoding: protobuf.dev/programming-guides/encoding.)

#include <cstdint>
#include <span>
#include <string_view>

#include "support/cursor.h"

namespace thimble::wire {

enum class Type : std::uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

struct Field {
  std::uint32_t number = 0;
  Type type = Type::kVarint;
  std::uint64_t value = 0;           // varints and fixed widths
  std::span<const std::byte> bytes;  // kBytes
  std::uint64_t offset = 0;          // of the payload's end for numbers, its begin for kBytes

  std::string_view text() const {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
};

inline Expected<std::uint64_t> read_varint(Cursor& cursor) {
  std::uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    THIMBLE_ASSIGN(const auto byte, cursor.read<std::uint8_t>());
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return value;
  }
  return invalid_file("a number has too many bytes").at_offset(cursor.offset());
}

inline Expected<Field> read_field(Cursor& cursor) {
  THIMBLE_ASSIGN(const auto tag, read_varint(cursor));
  Field field;
  field.number = static_cast<std::uint32_t>(tag >> 3);
  field.type = static_cast<Type>(tag & 7);
  if (tag >> 3 == 0 || tag >> 32 != 0) {
    return invalid_file("a field's number is impossible").at_offset(cursor.offset());
  }
  switch (field.type) {
    case Type::kVarint: {
      THIMBLE_ASSIGN(field.value, read_varint(cursor));
      break;
    }
    case Type::kFixed64: {
      THIMBLE_ASSIGN(field.value, cursor.read<std::uint64_t>());
      break;
    }
    case Type::kFixed32: {
      THIMBLE_ASSIGN(field.value, cursor.read<std::uint32_t>());
      break;
    }
    case Type::kBytes: {
      THIMBLE_ASSIGN(const auto size, read_varint(cursor));
      field.offset = cursor.offset();
      THIMBLE_ASSIGN(field.bytes, cursor.read_bytes(size));
      return field;
    }
    default:
      return invalid_file("a field has an unknown wire type").at_offset(cursor.offset());
  }
  field.offset = cursor.offset();
  return field;
}

// Calls visit(const Field&) -> Status for each field. `base` is the message's offset in its file.
template <class Visit>
Status each_field(std::span<const std::byte> message, std::uint64_t base, Visit visit) {
  Cursor cursor(message, base);
  while (cursor.remaining() > 0) {
    THIMBLE_ASSIGN(const Field field, read_field(cursor));
    THIMBLE_TRY(visit(field));
  }
  return ok();
}

// Calls visit(std::uint64_t) -> Status for each number of a repeated field, packed or not. `single`
// is the wire type of one number: kVarint, kFixed32 or kFixed64.
template <class Visit>
Status each_number(const Field& field, Type single, Visit visit) {
  if (field.type == single) return visit(field.value);
  if (field.type != Type::kBytes) {
    return invalid_file("a list of numbers has another wire type").at_offset(field.offset);
  }
  Cursor cursor(field.bytes, field.offset);
  while (cursor.remaining() > 0) {
    std::uint64_t value = 0;
    if (single == Type::kVarint) {
      THIMBLE_ASSIGN(value, read_varint(cursor));
    } else if (single == Type::kFixed64) {
      THIMBLE_ASSIGN(value, cursor.read<std::uint64_t>());
    } else {
      THIMBLE_ASSIGN(value, cursor.read<std::uint32_t>());
    }
    THIMBLE_TRY(visit(value));
  }
  return ok();
}

}  // namespace thimble::wire
