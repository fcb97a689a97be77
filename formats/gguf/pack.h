#pragma once
// Rows of a weight as GGUF keeps them.

#include <vector>

#include "formats/all.h"
#include "formats/gguf/blocks.h"

namespace thimble::formats::gguf {

// The type that a weight is written in. An encoding that no type expresses is an error unless the
// target allows for f32, or a float type is wanted.
Expected<const BlockType*> choose_type(const ir::Weight& weight, const Target& target);

// What products of the weight are to be multiplied by, a power of two that NVFP4 leaves to a tensor
// of its own; 1: nothing.
float factor_of(const ir::Weight& weight, const BlockType& type);

std::uint64_t row_bytes(const BlockType& type, const ir::Weight& weight);

// Appends rows [begin, end). `head_rows` > 0: rows of each head are interleaved, its first half and
// its second by turns; then whole heads must be asked for.
Status append_rows(const ir::Weight& weight, const BlockType& type, std::int64_t begin,
                   std::int64_t end, std::int64_t head_rows, std::vector<std::byte>& out);

}  // namespace thimble::formats::gguf
