#include "runtime/by_dims.h"

#include <algorithm>

namespace thimble::runtime {

bool depends_on_dims(const program::Instruction& instruction, const program::Program& program) {
  using Op = program::Op;
  switch (instruction.op) {
    case Op::kLinear:
    case Op::kUnary:
    case Op::kBinary:
    case Op::kGatedUnary:
    case Op::kSoftmax:
    case Op::kTranspose:
    case Op::kConcat:
    case Op::kWhere:
    case Op::kMatMul:
    case Op::kScale:
    case Op::kGemm:
    case Op::kLogSoftmax:
    case Op::kConv:
    case Op::kConvTiles:
    case Op::kConvPanels:
    case Op::kEncodeImage:
    case Op::kDecodeImage:
    case Op::kConvCodes:
    case Op::kMixCodes:
    case Op::kMaxPoolCodes:
    case Op::kAveragePoolCodes:
    case Op::kConcatCodes:
    case Op::kMultiplyCodes:
    case Op::kRoundToCodes:
    case Op::kMaxPool:
    case Op::kAveragePool:
    case Op::kGlobalAveragePool:
    case Op::kGlobalMaxPool:
    case Op::kBatchNormalization:
    case Op::kInstanceNormalization:
    case Op::kLrn:
    case Op::kLstm:
    case Op::kGru:
    case Op::kRnn:
      return true;
    case Op::kSliceBy:
    case Op::kUnsqueeze:
    case Op::kSqueeze:
    case Op::kReshapeTo:
    case Op::kSplit:
    case Op::kPad:
    case Op::kReduceOver:
      return std::all_of(
          instruction.inputs.begin() + 1, instruction.inputs.end(), [&](std::int32_t index) {
            return index < 0 || program.slot(index).kind == program::Slot::Kind::kConstant;
          });
    default:
      return false;
  }
}

}  // namespace thimble::runtime
