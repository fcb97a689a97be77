// Fused products, convolutions and pools.

#include <array>
#include <numeric>

#include "formats/onnx/contrib.h"

namespace thimble::formats::onnx {
namespace {

using Integers = std::vector<std::int64_t>;

// The last two dims swapped. Where the rank is known the node is a Transpose, which products with
// weights are recognised by.
Expected<ir::ValueId> swap_last(Rewriter& r, ir::ValueId value) {
  const auto rank = r.rank_of(value);
  if (!rank) return r.emit("Einsum", {value}, {{"equation", std::string("...ij->...ji")}});
  if (*rank < 2 || *rank > 64) return r.refuse("a factor to transpose is not a matrix");
  Integers perm(static_cast<std::size_t>(*rank));
  std::iota(perm.begin(), perm.end(), 0);
  std::swap(perm[perm.size() - 1], perm[perm.size() - 2]);
  return r.emit("Transpose", {value}, {{"perm", perm}});
}

Status fused_matmul(Rewriter& r) {
  if (!r.has(0) || !r.has(1)) return r.refuse("it needs two factors");
  const ir::Node node = r.node();
  if (node.integer("transBatchA", 0) != 0 || node.integer("transBatchB", 0) != 0) {
    return r.refuse("transposed batch dims are not supported");
  }
  ir::ValueId a = r.input(0), b = r.input(1);
  if (node.integer("transA", 0) != 0) {
    THIMBLE_ASSIGN(a, swap_last(r, a));
  }
  if (node.integer("transB", 0) != 0) {
    THIMBLE_ASSIGN(b, swap_last(r, b));
  }
  ir::ValueId result = r.emit("MatMul", {a, b});
  const float alpha = node.real("alpha", 1.0f);
  if (alpha != 1.0f) result = r.emit("Mul", {result, r.real(alpha)});
  r.replace({result});
  return ok();
}

float parameter(const std::vector<float>& all, std::size_t index, float fallback) {
  return index < all.size() ? all[index] : fallback;
}

Expected<ir::ValueId> activate(Rewriter& r, ir::ValueId x, const std::string& activation,
                               const std::vector<float>& p) {
  if (activation.empty()) return x;
  if (activation == "Relu" || activation == "Tanh" || activation == "Sigmoid" ||
      activation == "HardSwish") {
    return r.emit(activation, {x});
  }
  if (activation == "LeakyRelu")
    return r.emit(activation, {x}, {{"alpha", parameter(p, 0, 0.01f)}});
  if (activation == "Clip" && p.size() >= 2) {
    return r.emit(activation, {x, r.real(p[0]), r.real(p[1])});
  }
  if (activation == "HardSigmoid") {
    return r.emit(activation, {x},
                  {{"alpha", parameter(p, 0, 0.2f)}, {"beta", parameter(p, 1, 0.5f)}});
  }
  return r.refuse("its activation '" + activation + "' is not known");
}

// Inputs: x, w, bias, and a tensor that is added before the activation.
Status fused_conv(Rewriter& r) {
  const std::string activation = r.take<std::string>("activation").value_or("");
  const auto parameters =
      r.take<std::vector<float>>("activation_params").value_or(std::vector<float>{});
  const Attributes attributes = r.node().attributes;
  ir::ValueId y = r.emit("Conv", {r.input(0), r.input(1), r.input(2)}, attributes);
  if (r.has(3)) y = r.emit("Add", {y, r.input(3)});
  THIMBLE_ASSIGN(y, activate(r, y, activation, parameters));
  r.replace({y});
  return ok();
}

Status fused_gemm(Rewriter& r) {
  const std::string activation = r.take<std::string>("activation").value_or("");
  std::vector<float> parameters;
  for (const char* name : {"activation_alpha", "activation_beta", "activation_gamma"}) {
    if (const auto value = r.take<float>(name)) parameters.push_back(*value);
  }
  const Attributes attributes = r.node().attributes;
  const ir::ValueId product = r.emit("Gemm", {r.input(0), r.input(1), r.input(2)}, attributes);
  THIMBLE_ASSIGN(const ir::ValueId y, activate(r, product, activation, parameters));
  r.replace({y});
  return ok();
}

// Channels last, two spatial dims.
Status nhwc_max_pool(Rewriter& r) {
  if (r.node().integers("kernel_shape").size() != 2) return r.refuse("it needs a kernel of 2 dims");
  const ir::ValueId x = r.emit("Transpose", {r.input(0)}, {{"perm", Integers{0, 3, 1, 2}}});
  const Attributes attributes = r.node().attributes;
  const ir::ValueId y = r.emit("MaxPool", {x}, attributes);
  r.replace({r.emit("Transpose", {y}, {{"perm", Integers{0, 2, 3, 1}}})});
  return ok();
}

constexpr std::array kContribProducts = {
    Adapter{"FusedMatMul", 0, fused_matmul},  Adapter{"TransposeMatMul", 0, fused_matmul},
    Adapter{"FusedConv", 0, fused_conv},      Adapter{"FusedGemm", 0, fused_gemm},
    Adapter{"NhwcMaxPool", 0, nhwc_max_pool},
};

}  // namespace

std::span<const Adapter> product_contribs() { return kContribProducts; }

}  // namespace thimble::formats::onnx
