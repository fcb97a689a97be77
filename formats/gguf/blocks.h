#pragma once
// GGUF's block types, each on its own grid of ours: see blocks.cpp for the layouts. Decoding an
// encoding's streams gives the numbers that the block type defines, bit for bit, for every product
// in them is exact in f32.

#include <cstdint>
#include <span>
#include <string_view>

#include "ir/encoding.h"
#include "ir/weight.h"

namespace thimble::formats::gguf {

struct BlockType {
  std::uint32_t id = 0;  // in the file
  std::string_view name;
  int elements = 1;                         // of a block
  int bytes = 0;                            // of a block
  ir::DType dense = ir::DType::kUndefined;  // element type; kUndefined: a block type
  // Appends one block's streams. False: a scale is not a number.
  bool (*unpack)(const std::uint8_t* block, ir::Rows& out) = nullptr;
  ir::Encoding (*encoding)() = nullptr;
  // A tensor of its own holds a number that products with such weights are times.
  bool scaled_aside = false;
};

std::span<const BlockType> block_types();
// By the number in a file; an error names what is supported.
Expected<const BlockType*> find_block_type(std::uint32_t id);

// Writing: one block of weights of Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL, MXFP4, NVFP4 or TQ2_0,
// from codes that are unsigned with the type's constant zero, and scales (NVFP4 has four, the
// others one) and a minimum that the type holds exactly.
void pack(const BlockType& type, const std::uint8_t* codes, const float* scales, float minimum,
          std::uint8_t* block);

}  // namespace thimble::formats::gguf
