// Attributes that went, whose defaults changed, or whose values are spelt otherwise.

#include <array>
#include <utility>

#include "formats/onnx/upgrade.h"

namespace thimble::formats::onnx {
namespace {

Status concat(Rewriter& r) {
  r.set_default("axis", std::int64_t{1});
  return ok();
}

Status selu(Rewriter& r) {
  r.set_default("alpha", 1.6732f);
  r.set_default("gamma", 1.0507f);
  return ok();
}

Status roi_align(Rewriter& r) {
  r.set_default("coordinate_transformation_mode", std::string("output_half_pixel"));
  return ok();
}

Status grid_sample(Rewriter& r) {
  const std::string mode = r.take<std::string>("mode").value_or("bilinear");
  const bool known = mode == "bilinear" || mode == "bicubic";
  r.set_attribute("mode", known ? mode.substr(2) : mode);  // to "linear", "cubic"
  return ok();
}

// The exponent of LpPool and GlobalLpPool was a real number.
Status lp_pool(Rewriter& r) {
  const auto p = r.take<float>("p");
  if (!p) return ok();
  if (!(*p >= 1 && *p <= 64) || *p != static_cast<float>(static_cast<int>(*p))) {
    return r.refuse("its exponent is not a whole number from 1 to 64");
  }
  r.set_attribute("p", static_cast<std::int64_t>(*p));
  return ok();
}

Status recurrent(Rewriter& r) {
  r.drop_attribute("output_sequence");  // whether output 0 is wanted: its presence says so
  return ok();
}

Status cast(Rewriter& r) {
  constexpr std::array<std::pair<std::string_view, ir::DType>, 13> kTypes = {{
      {"FLOAT", ir::DType::kF32},
      {"UINT8", ir::DType::kU8},
      {"INT8", ir::DType::kI8},
      {"UINT16", ir::DType::kU16},
      {"INT16", ir::DType::kI16},
      {"INT32", ir::DType::kI32},
      {"INT64", ir::DType::kI64},
      {"STRING", ir::DType::kString},
      {"BOOL", ir::DType::kBool},
      {"FLOAT16", ir::DType::kF16},
      {"DOUBLE", ir::DType::kF64},
      {"UINT32", ir::DType::kU32},
      {"UINT64", ir::DType::kU64},
  }};
  const auto to = r.take<std::string>("to");
  if (!to) return ok();
  for (const auto& [name, type] : kTypes) {
    if (name != *to) continue;
    r.set_attribute("to", static_cast<std::int64_t>(type));
    return ok();
  }
  return r.refuse("no element type is called '" + *to + "'");
}

Status scatter(Rewriter& r) {
  r.set_operator("ScatterElements");
  return ok();
}

Status experimental(Rewriter& r) { return r.refuse("an experimental operator that ONNX withdrew"); }

// Every spelling of a Constant as a tensor.
Status constant(Rewriter& r) {
  ir::Weight weight;
  if (const auto real = r.take<float>("value_float")) {
    weight = ir::make_dense("", {}, std::vector<float>{*real});
  } else if (const auto integer = r.take<std::int64_t>("value_int")) {
    weight = ir::make_dense("", {}, std::vector<std::int64_t>{*integer});
  } else if (const auto reals = r.take<std::vector<float>>("value_floats")) {
    weight = ir::make_dense("", {static_cast<std::int64_t>(reals->size())}, *reals);
  } else if (const auto list = r.take<std::vector<std::int64_t>>("value_ints")) {
    weight = ir::make_dense("", {static_cast<std::int64_t>(list->size())}, *list);
  } else {
    return r.node().find("value") != nullptr
               ? ok()
               : Status(r.refuse("it holds neither numbers nor a dense tensor"));
  }
  if (r.is_used(0)) weight.name = r.graph().value(r.node().outputs[0]).name;
  r.set_attribute("value", r.model().add_weight(std::move(weight)));
  return ok();
}

constexpr std::array kUpgradeDefaults = {
    Adapter{"Concat", 4, concat},
    Adapter{"Selu", 6, selu},
    Adapter{"RoiAlign", 16, roi_align},
    Adapter{"GridSample", 20, grid_sample},
    Adapter{"LpPool", 2, lp_pool},
    Adapter{"GlobalLpPool", 2, lp_pool},
    Adapter{"RNN", 7, recurrent},
    Adapter{"GRU", 7, recurrent},
    Adapter{"LSTM", 7, recurrent},
    Adapter{"Cast", 6, cast},
    Adapter{"Scatter", kAlways, scatter},
    Adapter{"ConstantFill", kAlways, experimental},
    Adapter{"ImageScaler", kAlways, experimental},
    Adapter{"GivenTensorFill", kAlways, experimental},
    Adapter{"ParametricSoftplus", kAlways, experimental},
    Adapter{"ScaledTanh", kAlways, experimental},
    Adapter{"Affine", kAlways, experimental},
    Adapter{"Scale", kAlways, experimental},
    Adapter{"Crop", kAlways, experimental},
    Adapter{"GRUUnit", kAlways, experimental},
    Adapter{"Constant", kAlways, constant},
};

}  // namespace

std::span<const Adapter> default_adapters() { return kUpgradeDefaults; }

}  // namespace thimble::formats::onnx
