// Mixtures of experts: each expert's network over the tokens that chose it.

#include <array>
#include <bit>
#include <limits>

#include "formats/onnx/blockwise.h"
#include "formats/onnx/contrib.h"
#include "ir/part.h"

namespace thimble::formats::onnx {
namespace {

// Which inputs of the node belong to one of its matrices, [experts, outputs, inputs].
struct Matrix {
  std::size_t weight, bias;
  std::size_t scales = 0, zeros = 0;  // of QMoE
};

struct Places {
  Matrix first, second, third;
  std::size_t known;  // inputs past these aren't
};

constexpr Places kPlain = {{2, 3}, {4, 5}, {6, 7}, 8};
constexpr Places kQuantized = {{2, 4, 3, 11}, {5, 7, 6, 12}, {8, 10, 9, 13}, 14};

constexpr std::int64_t kMostExperts = 4096;

class Experts {
 public:
  Experts(Rewriter& r, bool quantized)
      : r_(r), quantized_(quantized), at_(quantized ? kQuantized : kPlain) {}

  Status rewrite() {
    THIMBLE_TRY(check());
    const ir::ValueId shape = r_.emit("Shape", {r_.input(0)});
    const ir::ValueId x = r_.emit("Reshape", {r_.input(0), r_.integers({-1, width_})});
    const ir::ValueId gates = choose();
    ir::ValueId y = r_.emit("Mul", {x, r_.real(0.0f)});
    for (std::int64_t expert = 0; expert < experts_; ++expert) {
      const ir::ValueId gate = r_.emit("Gather", {gates, r_.integer(expert)}, {{"axis", kColumns}});
      const ir::ValueId tokens = r_.emit("Squeeze", {r_.emit("NonZero", {gate}), r_.integers({0})});
      THIMBLE_ASSIGN(const ir::ValueId own, network(r_.emit("Gather", {x, tokens}), expert));
      const ir::ValueId share =
          r_.emit("Unsqueeze", {r_.emit("Gather", {gate, tokens}), r_.integers({1})});
      const ir::ValueId places = r_.emit("Unsqueeze", {tokens, r_.integers({1})});
      y = r_.emit("ScatterND", {y, places, r_.emit("Mul", {own, share})},
                  {{"reduction", std::string("add")}});
    }
    r_.replace({r_.emit("Reshape", {y, shape})});
    return ok();
  }

 private:
  static constexpr std::int64_t kColumns = 1;

  Status check() {
    const ir::Node& node = r_.node();
    for (std::size_t i = at_.known; i < node.inputs.size(); ++i) {
      if (r_.has(i)) return r_.refuse("input " + std::to_string(i) + " is not supported");
    }
    if (!r_.has(0) || !r_.has(1)) return r_.refuse("it needs tokens and the router's logits");
    const ir::Weight* first = r_.weight_of(r_.input(at_.first.weight));
    if (first == nullptr || first->dims.size() != 3 || first->dims[0] < 1 || first->dims[2] < 1)
      return r_.refuse("the experts' first matrices must be a constant of three axes");
    experts_ = first->dims[0];
    bits_ = quantized_ ? node.integer("expert_weight_bits", 4) : 8;
    if (bits_ != 4 && bits_ != 8) return r_.refuse("codes of " + std::to_string(bits_) + " bits");
    width_ = first->dims[2] * 8 / bits_;
    chosen_ = node.integer("k", 1);
    if (experts_ > kMostExperts || chosen_ < 1 || chosen_ > experts_)
      return r_.refuse("its number of experts is impossible");
    if (node.integer("use_sparse_mixer", 0) != 0) return r_.refuse("use_sparse_mixer");
    return check_activation();
  }

  Status check_activation() {
    activation_ = r_.node().text("activation_type", "relu");
    fused_ = r_.node().integer("swiglu_fusion", 0);
    const bool gated = activation_ == "swiglu";
    if (gated && fused_ == 0 && !r_.has(at_.third.weight))
      return r_.refuse("swiglu needs its second half, in the first matrices or as the third");
    if (gated && fused_ != 0 && fused_ != 1)
      return r_.refuse("swiglu_fusion " + std::to_string(fused_));
    for (const std::string_view known : {"relu", "gelu", "silu", "swiglu", "identity"}) {
      if (activation_ == known) return ok();
    }
    return r_.refuse("activation_type '" + activation_ + "'");
  }

  // [tokens, experts]: the share of each expert that a token chose, 0 of others.
  ir::ValueId choose() {
    const Attributes last = {{"axis", std::int64_t{-1}}};
    const ir::ValueId likely = r_.emit("Softmax", {r_.input(1)}, last);
    const auto top = r_.emit_many("TopK", {likely, r_.integers({chosen_})}, last, 2);
    ir::ValueId shares = top[0];
    // ONNX Runtime's QMoE always does so on a CPU.
    if (quantized_ || r_.node().integer("normalize_routing_weights", 0) != 0)
      shares = r_.emit("Div", {shares, r_.emit("ReduceSum", {shares, r_.integers({-1})})});
    return r_.emit("ScatterElements", {r_.emit("Mul", {likely, r_.real(0.0f)}), top[1], shares},
                   {{"axis", kColumns}});
  }

  Expected<ir::ValueId> network(ir::ValueId x, std::int64_t expert) {
    THIMBLE_ASSIGN(ir::ValueId hidden, product(x, at_.first, expert));
    ir::ValueId factor;
    if (r_.has(at_.third.weight)) {
      THIMBLE_ASSIGN(factor, product(x, at_.third, expert));
    }
    if (activation_ == "swiglu") return product(swiglu(hidden, factor), at_.second, expert);
    if (activation_ == "relu") hidden = r_.emit("Relu", {hidden});
    if (activation_ == "silu") hidden = r_.emit("Swish", {hidden});
    if (activation_ == "gelu")
      hidden = r_.emit("Gelu", {hidden}, {{"approximate", std::string("tanh")}});
    if (factor.valid()) hidden = r_.emit("Mul", {hidden, factor});
    return product(hidden, at_.second, expert);
  }

  // gate * sigmoid(alpha gate) * (linear + beta), both cut off at the limit. Fused: gate and linear
  // take turns in `hidden`.
  ir::ValueId swiglu(ir::ValueId hidden, ir::ValueId linear) {
    ir::ValueId gate = hidden;
    if (fused_ == 1) gate = every_second(hidden, 0), linear = every_second(hidden, 1);
    const float limit = r_.node().real("swiglu_limit", std::numeric_limits<float>::infinity());
    if (limit < std::numeric_limits<float>::infinity()) {
      gate = r_.emit("Clip", {gate, {}, r_.real(limit)});
      linear = r_.emit("Clip", {linear, r_.real(-limit), r_.real(limit)});
    }
    gate = r_.emit("Swish", {gate}, {{"alpha", r_.node().real("activation_alpha", 1.0f)}});
    const float beta = r_.node().real("activation_beta", 0.0f);
    if (beta != 0.0f) linear = r_.emit("Add", {linear, r_.real(beta)});
    return r_.emit("Mul", {gate, linear});
  }

  ir::ValueId every_second(ir::ValueId x, std::int64_t first) {
    const ir::ValueId end = r_.integers({std::numeric_limits<std::int64_t>::max()});
    return r_.emit("Slice",
                   {x, r_.integers({first}), end, r_.integers({kColumns}), r_.integers({2})});
  }

  Expected<ir::ValueId> product(ir::ValueId x, const Matrix& matrix, std::int64_t expert) {
    THIMBLE_ASSIGN(const ir::ValueId weight, weight_of(matrix, expert));
    const ir::ValueId factor =
        r_.emit("Transpose", {weight}, {{"perm", std::vector<std::int64_t>{1, 0}}});
    const ir::ValueId y = r_.emit("MatMul", {x, factor});
    if (!r_.has(matrix.bias)) return y;
    return r_.emit("Add", {y, r_.emit("Gather", {r_.input(matrix.bias), r_.integer(expert)})});
  }

  Expected<ir::ValueId> weight_of(const Matrix& matrix, std::int64_t expert) {
    if (!quantized_) {
      THIMBLE_ASSIGN(ir::Weight dense, part(matrix.weight, expert, 3));
      return ir::add_constant(r_.model(), r_.graph(), std::move(dense));
    }
    Blockwise p;
    p.bits = static_cast<int>(bits_);
    p.default_zero = 1 << (bits_ - 1);
    const bool blocks = r_.node().integer("block_size", 0) > 0;
    THIMBLE_ASSIGN(p.codes, part(matrix.weight, expert, 3));
    THIMBLE_ASSIGN(p.scales, part(matrix.scales, expert, blocks ? 3 : 2));
    if (p.codes.dtype != ir::DType::kU8) return r_.refuse("its codes must be bytes");
    p.rows = p.codes.dims[0];
    p.inputs = p.codes.dims[1] * 8 / bits_;
    p.block = blocks ? r_.node().integer("block_size", 0)
                     : static_cast<std::int64_t>(std::bit_ceil(
                           static_cast<std::uint64_t>(std::max<std::int64_t>(p.inputs, 16))));
    if (r_.has(matrix.zeros)) {
      // Those of rows would be packed along the rows.
      if (!blocks && bits_ == 4) return r_.refuse("zero points of 4 bits without blocks");
      THIMBLE_ASSIGN(p.zeros, part(matrix.zeros, expert, blocks ? 3 : 2));
    }
    return r_.constant(blockwise_weight(r_.model(), p));
  }

  // An expert's share of an input of so many axes.
  Expected<ir::Weight> part(std::size_t input, std::int64_t expert, std::size_t axes) const {
    const ir::Weight* whole = r_.weight_of(r_.input(input));
    if (whole == nullptr || !whole->encoding.is_dense() || whole->dims.size() != axes ||
        whole->dims[0] != experts_ || whole->dims[1] < 1 || whole->dims.back() < 1) {
      return r_.refuse("input " + std::to_string(input) + " must be a constant of " +
                       std::to_string(axes) + " axes, the first the experts");
    }
    return ir::part_of(*whole, expert);
  }

  Rewriter& r_;
  bool quantized_;
  Places at_;
  std::int64_t experts_ = 0, width_ = 0, chosen_ = 0, bits_ = 0, fused_ = 0;
  std::string activation_;
};

Status plain(Rewriter& r) { return Experts(r, false).rewrite(); }
Status quantized(Rewriter& r) { return Experts(r, true).rewrite(); }

constexpr std::array kExperts = {Adapter{"MoE", 0, plain}, Adapter{"QMoE", 0, quantized}};

}  // namespace

std::span<const Adapter> expert_contribs() { return kExperts; }

}  // namespace thimble::formats::onnx
