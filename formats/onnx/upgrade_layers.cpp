// Operators whose meaning changed.

#include <array>

#include "formats/onnx/upgrade.h"

namespace thimble::formats::onnx {
namespace {

// Before opset 13 the input was taken as a matrix whose columns are all dims from `axis` on.
Status softmax(Rewriter& r) {
  const std::int64_t axis = r.take<std::int64_t>("axis").value_or(1);
  const auto rank = r.rank_of(r.input(0));
  r.set_attribute("axis", std::int64_t{-1});
  if (axis == -1 || (rank && axis == *rank - 1)) return ok();
  if (!r.has(0)) return r.refuse("it has no input");
  const ir::ValueId flat = r.emit("Flatten", {r.input(0)}, {{"axis", axis}});
  const ir::ValueId result = r.emit(r.node().op, {flat}, {{"axis", std::int64_t{-1}}});
  r.replace({r.emit("Reshape", {result, r.emit("Shape", {r.input(0)})})});
  return ok();
}

ir::Weight one_of(ir::DType type) {
  if (type != ir::DType::kBool) return ir::make_dense("one", {1}, std::vector<float>{1.0f});
  return ir::make_dense("true", type, {1}, {std::byte{1}});
}

// Whether a constant holds one number that is not zero; nothing when it isn't known.
std::optional<bool> flag(const Rewriter& r, std::size_t input) {
  const ir::Weight* weight = r.weight_of(r.input(input));
  if (weight == nullptr || weight->element_count() != 1) return std::nullopt;
  const auto values = ir::read_floats(*weight);
  if (!values) return std::nullopt;
  return values->front() != 0.0f;
}

// What it does at inference: nothing. Its mask, where it's used, keeps everything.
Status dropout(Rewriter& r) {
  if (!r.has(0)) return r.refuse("it has no input");
  if (r.opset >= 12 && r.has(2)) {
    const bool nothing_dropped = r.has(1) && flag(r, 1) == std::optional(false);
    const std::optional<bool> training = flag(r, 2);
    if (!nothing_dropped && training == std::optional(true) && (!r.has(1) || flag(r, 1)))
      return r.refuse("training mode is on");
    // It says itself, as it runs, when something would be dropped.
    if (!nothing_dropped && !(training && !*training)) return ok();
  }
  ir::ValueId mask;
  if (r.is_used(1)) {
    const auto type = r.opset >= 10 ? ir::DType::kBool : ir::DType::kF32;
    const ir::WeightId one = r.model().add_weight(one_of(type));
    mask = r.emit("ConstantOfShape", {r.emit("Shape", {r.input(0)})}, {{"value", one}});
  }
  r.replace({r.emit("Identity", {r.input(0)}), mask});
  return ok();
}

// The form of Resize that Upsample and Resize 10 are: x_original = x / scale, rounded down.
Status resize_from_origin(Rewriter& r, ir::ValueId scales) {
  r.set_operator("Resize");
  const std::string mode = r.take<std::string>("mode").value_or("nearest");
  r.drop_inputs_from(1);
  r.set_input(2, scales);
  r.set_attribute("coordinate_transformation_mode", std::string("asymmetric"));
  if (mode == "nearest") r.set_attribute("nearest_mode", std::string("floor"));
  r.set_attribute("mode", mode == "bilinear" ? std::string("linear") : mode);
  return ok();
}

Status upsample(Rewriter& r) {
  if (!r.has(0)) return r.refuse("it has no input");
  if (r.has(1)) return resize_from_origin(r, r.input(1));
  auto scales = r.take<std::vector<float>>("scales");
  const auto width = r.take<float>("width_scale"), height = r.take<float>("height_scale");
  if (!scales && width && height) scales = std::vector<float>{1.0f, 1.0f, *height, *width};
  if (!scales) return r.refuse("it has no scales");
  const auto count = static_cast<std::int64_t>(scales->size());
  return resize_from_origin(r, r.constant(ir::make_dense("", {count}, *scales)));
}

// Opset 10 had inputs X and scales. Opset 11 asked for all inputs: those that don't count are
// empty.
Status resize(Rewriter& r) {
  if (r.opset < 11) return resize_from_origin(r, r.input(1));
  for (std::size_t i = 1; i < r.node().inputs.size(); ++i) {
    const ir::Weight* weight = r.weight_of(r.input(i));
    if (weight != nullptr && weight->element_count() == 0) r.set_input(i, {});
  }
  return ok();
}

Status batch_normalization(Rewriter& r) {
  if (r.take<std::int64_t>("spatial").value_or(1) == 0) {
    return r.refuse("statistics for each element rather than each channel");
  }
  r.drop_attribute("is_test");
  for (std::size_t i = 1; i < r.node().outputs.size(); ++i) {
    if (r.is_used(i)) return r.refuse("statistics of a batch are for training");
  }
  r.drop_outputs_from(1);
  return ok();
}

// Scale and bias were given per group; since opset 21 they are given per channel.
Status group_normalization(Rewriter& r) {
  if (!r.has(0) || !r.has(1) || !r.has(2)) return r.refuse("it needs input, scale and bias");
  const auto groups = r.node().integer("num_groups", 0);
  if (groups < 1) return r.refuse("it needs its attribute num_groups");
  const ir::ValueId channels =
      r.emit("Shape", {r.input(0)}, {{"end", std::int64_t{2}}, {"start", std::int64_t{1}}});
  const ir::ValueId count = r.integers({groups});
  const ir::ValueId dims =
      r.emit("Concat", {count, r.emit("Div", {channels, count})}, {{"axis", std::int64_t{0}}});
  const ir::ValueId last = r.integers({1}), flat = r.integers({-1});
  for (const std::size_t i : {1, 2}) {
    const ir::ValueId column = r.emit("Unsqueeze", {r.input(i), last});
    r.set_input(i, r.emit("Reshape", {r.emit("Expand", {column, dims}), flat}));
  }
  return ok();
}

constexpr std::array kUpgradeLayers = {
    Adapter{"Softmax", 13, softmax},
    Adapter{"LogSoftmax", 13, softmax},
    Adapter{"Hardmax", 13, softmax},
    Adapter{"Dropout", kAlways, dropout},
    Adapter{"Resize", 13, resize},  // before Upsample, which becomes one
    Adapter{"Upsample", kAlways, upsample},
    Adapter{"BatchNormalization", 14, batch_normalization},
    Adapter{"GroupNormalization", 21, group_normalization},
};

}  // namespace

std::span<const Adapter> layer_adapters() { return kUpgradeLayers; }

}  // namespace thimble::formats::onnx
