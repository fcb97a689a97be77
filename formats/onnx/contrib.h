#pragma once
// Operators of ONNX Runtime's own domain, com.microsoft, as standard ones.

#include <span>

#include "formats/onnx/rewriter.h"

namespace thimble::formats::onnx {

// Rewrites nodes of com.microsoft in every graph of the model to nodes of the default domain in
// their form of opset 23 (with Swish of 24), or to thimble::Attention. Operators that it doesn't
// know stay as they are. A quantized constant matrix becomes a weight on its own grid; its bytes
// are not copied. Errors name the node and its operator.
Status rewrite_contrib(ir::Model& model);

// Parts of the table, one family a file; `below` doesn't count here.
std::span<const Adapter> norm_contribs();       // norms, embeddings, activations
std::span<const Adapter> product_contribs();    // fused products, convolutions and pools
std::span<const Adapter> blockwise_contribs();  // products with weights of a few bits
std::span<const Adapter> quantized_contribs();  // arithmetic on 8-bit integers
std::span<const Adapter> attention_contribs();  // attention and its rotary embedding
std::span<const Adapter> group_query_contribs();
std::span<const Adapter> expert_contribs();  // mixtures of experts

}  // namespace thimble::formats::onnx
