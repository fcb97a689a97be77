#pragma once
// Weights over the blocks of a mapped GGUF file.

#include "formats/gguf/container.h"

namespace thimble::formats::gguf {

// The weight of a tensor under another name. `heads` > 0: the file keeps the rows of each head
// interleaved for its rotary embedding, first half and second half by turns; they are read back in
// their order, by number, without a copy of the tensor. NVFP4's weights are times `factor`.
Expected<ir::Weight> mapped_tensor(const Container& container, const Tensor& tensor,
                                   const std::string& name, std::int64_t heads, float factor = 1);

}  // namespace thimble::formats::gguf
