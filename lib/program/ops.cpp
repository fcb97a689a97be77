// Names and arities of the instructions.

#include "program/ops.h"

#include <algorithm>
#include <iterator>

namespace thimble::program {
namespace {

constexpr OpRule kRules[] = {
    {Op::kLinear, "Linear", 3, kMany, kMany},
    {Op::kGather, "Gather", 2, 2, 1},
    {Op::kRmsNorm, "RmsNorm", 1, 2, 1},
    {Op::kLayerNorm, "LayerNorm", 1, 3, 1},
    {Op::kRotary, "Rotary", 3, 3, 1},
    {Op::kAttention, "Attention", 3, 6, 3},
    {Op::kUnary, "Unary", 1, 1, 1},
    {Op::kBinary, "Binary", 2, 2, 1},
    {Op::kGatedUnary, "GatedUnary", 2, 2, 1},
    {Op::kSoftmax, "Softmax", 1, 1, 1},
    {Op::kReshape, "Reshape", 1, 1, 1},
    {Op::kTranspose, "Transpose", 1, 1, 1},
    {Op::kConcat, "Concat", kMany, kMany, 1},
    {Op::kSlice, "Slice", 1, 1, 1},
    {Op::kReduce, "Reduce", 1, 1, 1},
    {Op::kCast, "Cast", 1, 1, 1},
    {Op::kWhere, "Where", 3, 3, 1},
    {Op::kMatMul, "MatMul", 2, 2, 1},
    {Op::kExpand, "Expand", 1, 1, 1},
    {Op::kScale, "Scale", 1, 1, 1},
    {Op::kRange, "Range", 0, 0, 1},
    {Op::kCumSum, "CumSum", 1, 1, 1},
    {Op::kClip, "Clip", 1, 3, 1},
    {Op::kArgMax, "ArgMax", 1, 1, 1},
    {Op::kArgMin, "ArgMin", 1, 1, 1},
    {Op::kTopK, "TopK", 2, 2, 2},
    {Op::kEinsum, "Einsum", kMany, kMany, 1},
    {Op::kLogSoftmax, "LogSoftmax", 1, 1, 1},
    {Op::kHardmax, "Hardmax", 1, 1, 1},
    {Op::kQuantizeLinear, "QuantizeLinear", 2, 3, 1},
    {Op::kDequantizeLinear, "DequantizeLinear", 2, 3, 1},
    {Op::kDynamicQuantizeLinear, "DynamicQuantizeLinear", 1, 1, 3},
    {Op::kMatMulInteger, "MatMulInteger", 2, 4, 1},
    {Op::kQLinearMatMul, "QLinearMatMul", 8, 8, 1},
    {Op::kGemm, "Gemm", 2, 3, 1},
    {Op::kIsInf, "IsInf", 1, 1, 1},
    {Op::kDet, "Det", 1, 1, 1},
    {Op::kReduceOver, "Reduce", 1, 2, 1},
    {Op::kCumSumAlong, "CumSum", 2, 2, 1},
    {Op::kCumProd, "CumProd", 2, 2, 1},
    {Op::kSum, "Sum", kMany, kMany, 1},
    {Op::kMean, "Mean", kMany, kMany, 1},
    {Op::kMin, "Min", kMany, kMany, 1},
    {Op::kMax, "Max", kMany, kMany, 1},
    {Op::kBitCast, "BitCast", 1, 1, 1},
    {Op::kConv, "Conv", 2, 3, 1},
    {Op::kConvTranspose, "ConvTranspose", 2, 3, 1},
    {Op::kConvInteger, "ConvInteger", 2, 4, 1},
    {Op::kQLinearConv, "QLinearConv", 8, 9, 1},
    {Op::kMaxPool, "MaxPool", 1, 1, 2},
    {Op::kAveragePool, "AveragePool", 1, 1, 1},
    {Op::kLpPool, "LpPool", 1, 1, 1},
    {Op::kGlobalAveragePool, "GlobalAveragePool", 1, 1, 1},
    {Op::kGlobalMaxPool, "GlobalMaxPool", 1, 1, 1},
    {Op::kGlobalLpPool, "GlobalLpPool", 1, 1, 1},
    {Op::kBatchNormalization, "BatchNormalization", 5, 5, 3},
    {Op::kInstanceNormalization, "InstanceNormalization", 3, 3, 1},
    {Op::kGroupNormalization, "GroupNormalization", 3, 3, 1},
    {Op::kLrn, "LRN", 1, 1, 1},
    {Op::kLpNormalization, "LpNormalization", 1, 1, 1},
    {Op::kMeanVarianceNormalization, "MeanVarianceNormalization", 1, 1, 1},
    {Op::kResize, "Resize", 1, 4, 1},
    {Op::kDepthToSpace, "DepthToSpace", 1, 1, 1},
    {Op::kSpaceToDepth, "SpaceToDepth", 1, 1, 1},
    {Op::kPad, "Pad", 2, 4, 1},
    {Op::kLstm, "LSTM", 3, 8, 3},
    {Op::kGru, "GRU", 3, 6, 2},
    {Op::kRnn, "RNN", 3, 6, 2},
    {Op::kGridSample, "GridSample", 2, 2, 1},
    {Op::kMaxUnpool, "MaxUnpool", 2, 3, 1},
    {Op::kCol2Im, "Col2Im", 3, 3, 1},
    {Op::kRoiAlign, "RoiAlign", 3, 3, 1},
    {Op::kAffineGrid, "AffineGrid", 2, 2, 1},
    {Op::kCenterCropPad, "CenterCropPad", 2, 2, 1},
    {Op::kRmsNormOf, "RMSNormalization", 1, 2, 1},
    {Op::kConvTiles, "ConvTiles", 2, 5, 1},
    {Op::kConvPanels, "ConvPanels", 2, 5, 1},
    {Op::kGatherElements, "GatherElements", 2, 2, 1},
    {Op::kGatherNd, "GatherND", 2, 2, 1},
    {Op::kScatterElements, "ScatterElements", 3, 3, 1},
    {Op::kScatterNd, "ScatterND", 3, 3, 1},
    {Op::kNonZero, "NonZero", 1, 1, 1},
    {Op::kNonMaxSuppression, "NonMaxSuppression", 2, 5, 1},
    {Op::kOneHot, "OneHot", 3, 3, 1},
    {Op::kTile, "Tile", 2, 2, 1},
    {Op::kTrilu, "Trilu", 1, 2, 1},
    {Op::kCompress, "Compress", 2, 2, 1},
    {Op::kUnique, "Unique", 1, 1, 4},
    {Op::kReverseSequence, "ReverseSequence", 2, 2, 1},
    {Op::kShape, "Shape", 1, 1, 1},
    {Op::kSize, "Size", 1, 1, 1},
    {Op::kConstantOfShape, "ConstantOfShape", 1, 1, 1},
    {Op::kEyeLike, "EyeLike", 1, 1, 1},
    {Op::kTensorScatter, "TensorScatter", 2, 3, 1},
    {Op::kRangeOf, "Range", 3, 3, 1},
    {Op::kReshapeTo, "Reshape", 2, 2, 1},
    {Op::kUnsqueeze, "Unsqueeze", 2, 2, 1},
    {Op::kSqueeze, "Squeeze", 1, 2, 1},
    {Op::kFlatten, "Flatten", 1, 1, 1},
    {Op::kExpandTo, "Expand", 2, 2, 1},
    {Op::kSliceBy, "Slice", 3, 5, 1},
    {Op::kSplit, "Split", 1, 2, kMany},
    {Op::kAttentionOf, "Attention", 3, 7, 4},
    {Op::kRotaryOf, "RotaryEmbedding", 3, 4, 1},
    {Op::kIdentity, "Identity", 1, 1, 1},
    {Op::kLayerNormOf, "LayerNormalization", 2, 3, 3},
    {Op::kLinearAttention, "LinearAttention", 3, 6, 2},
    {Op::kCausalConvWithState, "CausalConvWithState", 2, 4, 2},
    {Op::kDropout, "Dropout", 1, 3, 2},
    {Op::kIf, "If", 1, 1, kMany},
    {Op::kLoop, "Loop", 0, kMany, kMany},
    {Op::kScan, "Scan", 1, kMany, kMany},
};

}  // namespace

const OpRule* find_rule(Op op) {
  const auto* at = std::find_if(std::begin(kRules), std::end(kRules),
                                [&](const OpRule& rule) { return rule.op == op; });
  return at == std::end(kRules) ? nullptr : at;
}

const OpRule* find_onnx_rule(std::string_view name) {
  const auto* at = std::find_if(std::begin(kRules), std::end(kRules), [&](const OpRule& rule) {
    return rule.op >= Op::kClip && rule.name == name;
  });
  return at == std::end(kRules) ? nullptr : at;
}

}  // namespace thimble::program
