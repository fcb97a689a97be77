#pragma once
// Checkpoints whose products are quantized already, as their tools pack them into 32-bit words:
//
//   gptq                codes along the inputs: qweight [inputs * bits / 32, rows], qzeros
//                       [groups, rows * bits / 32], scales [groups, rows], g_idx [inputs]; zero
//                       points are stored less one, but in checkpoint_format gptq_v2
//   awq (gemm)          4 bits along the rows, each eight in the order 0 2 4 6 1 3 5 7: qweight
//                       [inputs, rows / 8], qzeros [groups, rows / 8], scales [groups, rows]
//   compressed-tensors  pack-quantized: weight_packed [rows, words], weight_scale [rows, groups],
//                       weight_zero_point [words, groups]
//
// They become weights [rows, inputs] on their own grids, w = scale * (code - zero), that read the
// mapped words. Where act-order has scattered the groups over the inputs they are floats of the
// scales' type. Whatever else a quantization_config says is refused by name.

#include <map>
#include <string>

#include "formats/huggingface/config.h"
#include "formats/safetensors/reader.h"

namespace thimble::formats {

// Takes the packed parts out of `tensors`; the weights that they are, by MODULE.weight. `config` is
// quantization_config.
Expected<std::map<std::string, ir::Weight>> take_packed(const Config& config, TensorMap& tensors);

}  // namespace thimble::formats
