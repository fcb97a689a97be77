// Images and sequences: what nodes of these operators may look like.

#include "ir/ops/schema.h"
#include "ir/ops/shape_context.h"
#include "ir/ops/shape_functions.h"

namespace thimble::ir {
namespace {

using K = AttributeKind;
using Attributes = std::vector<AttributeSchema>;

Attributes joined(Attributes first, const Attributes& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

Attributes windows(const Attributes& more) {
  return joined({{"auto_pad", K::kText},
                 {"dilations", K::kIntegers},
                 {"kernel_shape", K::kIntegers},
                 {"pads", K::kIntegers},
                 {"strides", K::kIntegers}},
                more);
}

DType accumulator(const ShapeContext&, std::size_t) { return DType::kI32; }
DType of_zero_point(const ShapeContext& c, std::size_t) { return c.dtype(7); }
DType pooled(const ShapeContext& c, std::size_t output) {
  return output == 0 ? c.dtype(0) : DType::kI64;
}

std::vector<OpSchema> convolutions() {
  const Attributes plain = windows({{"group"}});
  return {
      {"", "Conv", 2, 3, 1, 1, plain, shapes::conv},
      {"", "ConvInteger", 2, 4, 1, 1, plain, shapes::conv_integer, accumulator},
      {"", "QLinearConv", 8, 9, 1, 1, plain, shapes::conv_quantized, of_zero_point},
      {"", "ConvTranspose", 2, 3, 1, 1,
       windows({{"group"}, {"output_padding", K::kIntegers}, {"output_shape", K::kIntegers}}),
       shapes::conv_transpose},
      {"", "Col2Im", 3, 3, 1, 1, windows({}), shapes::columns_to_image},
  };
}

std::vector<OpSchema> pools() {
  return {
      {"", "MaxPool", 1, 1, 1, 2, windows({{"ceil_mode"}, {"storage_order"}}), shapes::pool,
       pooled},
      {"", "AveragePool", 1, 1, 1, 1, windows({{"ceil_mode"}, {"count_include_pad"}}),
       shapes::pool},
      {"", "LpPool", 1, 1, 1, 1, windows({{"ceil_mode"}, {"p"}}), shapes::pool},
      {"", "GlobalAveragePool", 1, 1, 1, 1, {}, shapes::global_pool},
      {"", "GlobalMaxPool", 1, 1, 1, 1, {}, shapes::global_pool},
      {"", "GlobalLpPool", 1, 1, 1, 1, {{"p"}}, shapes::global_pool},
      {"", "MaxUnpool", 2, 3, 1, 1, windows({}), shapes::max_unpool},
  };
}

std::vector<OpSchema> normalizations() {
  const AttributeSchema epsilon = {"epsilon", K::kReal};
  return {
      {"",
       "BatchNormalization",
       5,
       5,
       1,
       3,
       {epsilon, {"momentum", K::kReal}, {"training_mode"}},
       shapes::batch_normalization},
      {"", "InstanceNormalization", 3, 3, 1, 1, {epsilon}, shapes::same_as_input},
      {"",
       "GroupNormalization",
       3,
       3,
       1,
       1,
       {epsilon, {"num_groups", K::kInteger, true}, {"stash_type"}},
       shapes::same_as_input},
      {"",
       "LRN",
       1,
       1,
       1,
       1,
       {{"alpha", K::kReal}, {"beta", K::kReal}, {"bias", K::kReal}, {"size", K::kInteger, true}},
       shapes::same_as_input},
      {"", "LpNormalization", 1, 1, 1, 1, {{"axis"}, {"p"}}, shapes::along_axis},
      {"",
       "MeanVarianceNormalization",
       1,
       1,
       1,
       1,
       {{"axes", K::kIntegers}},
       shapes::same_as_input},
  };
}

std::vector<OpSchema> arrangements() {
  return {
      {"",
       "Resize",
       1,
       4,
       1,
       1,
       {{"antialias"},
        {"axes", K::kIntegers},
        {"coordinate_transformation_mode", K::kText},
        {"cubic_coeff_a", K::kReal},
        {"exclude_outside"},
        {"extrapolation_value", K::kReal},
        {"keep_aspect_ratio_policy", K::kText},
        {"mode", K::kText},
        {"nearest_mode", K::kText}},
       shapes::resize},
      {"", "Pad", 2, 4, 1, 1, {{"mode", K::kText}}, shapes::pad},
      {"", "CenterCropPad", 2, 2, 1, 1, {{"axes", K::kIntegers}}, shapes::center_crop_pad},
      {"",
       "DepthToSpace",
       1,
       1,
       1,
       1,
       {{"blocksize", K::kInteger, true}, {"mode", K::kText}},
       shapes::blocks},
      {"", "SpaceToDepth", 1, 1, 1, 1, {{"blocksize", K::kInteger, true}}, shapes::blocks},
      {"",
       "GridSample",
       2,
       2,
       1,
       1,
       {{"align_corners"}, {"mode", K::kText}, {"padding_mode", K::kText}},
       shapes::grid_sample},
      {"", "AffineGrid", 2, 2, 1, 1, {{"align_corners"}}, shapes::affine_grid},
      {"",
       "RoiAlign",
       3,
       3,
       1,
       1,
       {{"coordinate_transformation_mode", K::kText},
        {"mode", K::kText},
        {"output_height"},
        {"output_width"},
        {"sampling_ratio"},
        {"spatial_scale", K::kReal}},
       shapes::roi_align},
  };
}

std::vector<OpSchema> recurrences() {
  const Attributes common = {{"activation_alpha", K::kReals},
                             {"activation_beta", K::kReals},
                             {"activations", K::kTexts},
                             {"clip", K::kReal},
                             {"direction", K::kText},
                             {"hidden_size"},
                             {"layout"}};
  return {
      {"", "LSTM", 3, 8, 1, 3, joined(common, {{"input_forget"}}), shapes::recurrent},
      {"", "GRU", 3, 6, 1, 2, joined(common, {{"linear_before_reset"}}), shapes::recurrent},
      {"", "RNN", 3, 6, 1, 2, common, shapes::recurrent},
  };
}

}  // namespace

std::vector<OpSchema> image_schemas() {
  std::vector<OpSchema> all;
  for (const auto& part :
       {convolutions(), pools(), normalizations(), arrangements(), recurrences()}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

}  // namespace thimble::ir
