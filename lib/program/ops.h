#pragma once
// The instructions, by number. Numbers are the file's: they are never reused (docs/FORMAT.md).

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace thimble::program {

enum class Op : std::uint16_t {
  kLinear = 1,   // (x, w1, [b1], w2, [b2], ...) -> (y1, y2, ...); ints `activation`: 0 f32, 1 int8,
                 // 2 int16, 3 int8 with floats `scale` and ints `zero`
  kGather = 2,   // (table, indices); ints `axis`
  kRmsNorm = 3,  // (x, [scale], [addend of x]) -> (y, [x + addend]); floats `epsilon`; ints `width`
  kLayerNorm = 4,  // (x, [scale], [bias], [addend]) -> (y, [sum]), likewise; `width`: of the row
  kRotary = 5,  // (x [batch, seq, heads * dim] or [batch, heads, seq, dim], cos, sin [batch, seq,
                // rot/2]); ints `interleaved`, `heads` (0 for the 4-D form), `rotary`
  kAttention = 6,   // (q, k, v, [mask], [past_key], [past_value]) -> (y, [present_key],
                    // [present_value]); q [batch, seq, q_heads * dim]; see attention attributes
  kUnary = 7,       // (x); ints `function`: UnaryFunction
  kBinary = 8,      // (a, b) with ONNX broadcasting; ints `function`: BinaryFunction
  kGatedUnary = 9,  // (gate, up): function(gate) * up; ints `function`
  kSoftmax = 10,    // (x); ints `axis`
  kReshape = 11,    // (x): same elements, the output slot's dims
  kTranspose = 12,  // (x); ints `perm`
  kConcat = 13,     // (...); ints `axis`
  kSlice = 14,      // (x); ints `starts`, `ends`, `axes`, `steps` (constants)
  kReduce = 15,     // (x); ints `axes`, `function`: ReduceFunction
  kCast = 16,       // (x): to the output slot's type
  kWhere = 17,      // (condition, a, b) with broadcasting
  kMatMul = 18,     // (a, b): both computed, batched with broadcasting
  kExpand = 19,     // (x): to the output slot's dims
  kScale = 20,      // (x): x * floats `factor`
  kRange = 21,      // () -> [0, 1, ...] along the output slot's only dim
  kCumSum = 22,     // (x); ints `axis`: inclusive, forwards

  // From here on an instruction is the ONNX operator of its name (opset 23), with its inputs, its
  // attributes under their own names and their defaults where they are absent. Results but the
  // first may be absent; of LSTM, GRU and RNN any.

  // Arithmetic (runtime/ops/arithmetic.cpp and its neighbours).
  kClip = 32,
  kArgMax = 33,
  kArgMin = 34,
  kTopK = 35,
  kEinsum = 36,
  kLogSoftmax = 37,
  kHardmax = 38,
  kQuantizeLinear = 39,
  kDequantizeLinear = 40,
  kDynamicQuantizeLinear = 41,
  kMatMulInteger = 42,
  kQLinearMatMul = 43,
  kGemm = 44,
  kIsInf = 45,
  kDet = 46,
  kReduceOver = 47,   // any Reduce*: (x, [axes]); text `function`: the operator's name
  kCumSumAlong = 48,  // (x, axis)
  kCumProd = 49,
  kSum = 50,
  kMean = 51,
  kMin = 52,  // of any number of values; of two: kBinary
  kMax = 53,
  kBitCast = 54,  // (x): the same bits as the output slot's type

  // Images, sequences, normalizations (runtime/ops/convolution.cpp, pool.cpp, recurrent.cpp, ...).
  kConv = 64,
  kConvTranspose = 65,
  kConvInteger = 66,
  kQLinearConv = 67,
  kMaxPool = 68,
  kAveragePool = 69,
  kLpPool = 70,
  kGlobalAveragePool = 71,
  kGlobalMaxPool = 72,
  kGlobalLpPool = 73,
  kBatchNormalization = 74,
  kInstanceNormalization = 75,
  kGroupNormalization = 76,
  kLrn = 77,
  kLpNormalization = 78,
  kMeanVarianceNormalization = 79,
  kResize = 80,
  kDepthToSpace = 81,
  kSpaceToDepth = 82,
  kPad = 83,
  kLstm = 84,
  kGru = 85,
  kRnn = 86,
  kGridSample = 87,
  kMaxUnpool = 88,
  kCol2Im = 89,
  kRoiAlign = 90,
  kAffineGrid = 91,
  kCenterCropPad = 92,
  kRmsNormOf = 93,   // RMSNormalization over any axes
  kConvTiles = 94,   // Conv with a weight in tiles: (x, w, [b]); also ints `activation` as kLinear
  kConvPanels = 95,  // Conv of f32 with a constant weight, in panels or, where each group has one
                     // channel, row-major: (x, w, [b], [addend], [scale]); also ints `function`,
                     // floats `clip` [low, high]: function(clip(scale * conv + b + addend))

  // Selection, shapes, attention (runtime/ops/selection.cpp, scatter.cpp, ...).
  kGatherElements = 96,
  kGatherNd = 97,
  kScatterElements = 98,
  kScatterNd = 99,
  kNonZero = 100,
  kNonMaxSuppression = 101,
  kOneHot = 102,
  kTile = 103,
  kTrilu = 104,
  kCompress = 105,
  kUnique = 106,
  kReverseSequence = 107,
  kShape = 108,
  kSize = 109,
  kConstantOfShape = 110,
  kEyeLike = 111,
  kTensorScatter = 112,
  kRangeOf = 113,    // Range: (start, limit, delta)
  kReshapeTo = 114,  // Reshape: (x, shape)
  kUnsqueeze = 115,  // (x, axes)
  kSqueeze = 116,    // (x, [axes])
  kFlatten = 117,
  kExpandTo = 118,     // Expand: (x, shape)
  kSliceBy = 119,      // Slice: (x, starts, ends, [axes], [steps])
  kSplit = 120,        // (x, [split])
  kAttentionOf = 121,  // Attention with plain tensors: any rank, mask, past and outputs
  kRotaryOf = 122,     // RotaryEmbedding: (x, cos, sin, [position_ids])
  kIdentity = 123,     // a copy, where another name won't do
  kLayerNormOf = 124,  // LayerNormalization with Mean and InvStdDev
  kLinearAttention = 125,
  kCausalConvWithState = 126,
  kDropout = 127,  // (x, [ratio], [training]) -> (x, [mask]); refuses to drop anything

  // Control flow: `regions` hold the bodies (runtime/control.cpp).
  kIf = 128,    // (condition) -> ...; regions: then, else
  kLoop = 129,  // ([trips], [condition], carried...) -> (carried..., scanned...); regions: body
  kScan = 130,  // (carried..., scanned...) -> (carried..., scanned...); regions: body

  // Networks on 8-bit codes (kernels/coded.h): images of u8 with their channels last, x = scale *
  // (code - zero). Ints `x_zero`: of what is read; `zero`, `low`, `high`: of the result, whose
  // codes are cut off at low and high.
  kEncodeImage = 144,   // (x [batch, channels, spatial...]) of f32; floats `scale`, ints `zero`
  kDecodeImage = 145,   // the way back
  kConvCodes = 146,     // (x, w, offset, factor), attributes as Conv; w coded (Layout) or, where
                        // each group has one channel and one output, row-major i8 [kernel...,
                        // channels]
  kMixCodes = 147,      // (a, b): a + b; floats `factors` [a, b, shift], see Mixture
  kMaxPoolCodes = 148,  // (x), attributes as MaxPool
  kAveragePoolCodes = 149,  // (x), as AveragePool, or of all places where ints `global` is 1;
                            // floats `factor`: x's scale over the result's
  kConcatCodes = 150,       // (...) of their channels; floats `factors` as above, ints `zeros`, one
                            // for each

  // Products whose codes were found as the model ran: MatMulInteger (of a w with kernel axes,
  // ConvInteger), Cast and Mul by both scales. (x [..., K] of u8, w, sums, factor, x_scale, x_zero,
  // [bias], [zero]) -> f32 [..., N]; w [N, K] coded, `sums` of its rows in i32, x = x_scale * (code
  // - x_zero), w = factor[n] * (code - zero[n]), zero in i32.
  kMultiplyCodes = 151,
  kRoundToCodes = 152,  // (x) of f32, any dims: as codes have it; floats `scale`, ints `zero`
};

// How many inputs and outputs an instruction has. Inputs from `required` on may be absent (-1), and
// outputs but the first.
struct OpRule {
  Op op;
  std::string_view name;
  std::size_t required, max_inputs, max_outputs;
};
inline constexpr std::size_t kMany = 1 << 16;
const OpRule* find_rule(Op op);  // null: unknown
// The instruction that is the ONNX operator of this name, if there is one.
const OpRule* find_onnx_rule(std::string_view name);

}  // namespace thimble::program
