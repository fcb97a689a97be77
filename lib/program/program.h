#pragma once
// What the runtime executes and a .thimble file holds.
//
// A Program is a list of regions over value slots. Control flow names regions; constants are
// tensors whose streams lie in segments outside the header; sizes of slots are expressions over
// symbols (`seq`, `past`) that a call binds, so memory is planned before anything runs. Everything
// here is plain data: the reader verifies it once, and the runtime trusts what was verified.
//
// Numbers of enumerators are the file's: they are never reused (docs/FORMAT.md).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "program/ops.h"
#include "support/expected.h"
#include "support/hash.h"

namespace thimble::program {

enum class Type : std::uint8_t {  // ONNX's numbers
  kF32 = 1,
  kU8 = 2,
  kI8 = 3,
  kU16 = 4,
  kI16 = 5,
  kI32 = 6,
  kI64 = 7,
  kBool = 9,
  kF16 = 10,
  kF64 = 11,
  kU32 = 12,
  kU64 = 13,
  kBF16 = 16,
  // Narrow types: a byte an element in memory, its bits as ONNX packs them.
  kF8E4M3FN = 17,
  kF8E4M3FNUZ = 18,
  kF8E5M2 = 19,
  kF8E5M2FNUZ = 20,
  kU4 = 21,
  kI4 = 22,  // sign-extended
  kF4E2M1 = 23,
  kF8E8M0 = 24,
  kU2 = 25,
  kI2 = 26,  // sign-extended
};
int type_bytes(Type type);
std::string_view type_name(Type type);

// A size as postfix steps over a stack: push a constant, push a symbol, or combine the two topmost.
struct SizeStep {
  enum class Op : std::uint8_t {
    kConstant = 0,
    kSymbol = 1,
    kAdd = 2,
    kMultiply = 3,
    kFloorDivide = 4,
    kMax = 5
  };
  Op op = Op::kConstant;
  std::int64_t value = 0;  // the constant, or the symbol's index
  bool operator==(const SizeStep&) const = default;
};
using Size = std::vector<SizeStep>;

struct Slot {
  enum class Kind : std::uint8_t { kActivation = 0, kInput = 1, kConstant = 2, kState = 3 };
  std::string name;
  Kind kind = Kind::kActivation;
  Type type = Type::kF32;
  std::vector<Size> dims;
  bool dynamic = false;      // dims are known once the producer ran (NonZero); `dims` is empty
  std::int32_t tensor = -1;  // kConstant: index into Program::tensors
};

// One contiguous, 64-byte-aligned range of the file.
struct Segment {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  Digest digest;
};

enum class Layout : std::uint8_t {
  kRowMajor = 0,  // one stream: the elements
  // lib/kernels/linear.h: codes, scales, zeros where zero isn't constant, sub-scales of
  // super-blocks and, with minima, their sub-minima
  kTiles = 1,
  kPanels = 2,  // lib/kernels/convolve.h: one stream, the panels of each group after the other
  // lib/kernels/coded.h, places of the kernel before channels: the tiles of each group after the
  // other, and the scales of rows
  kCoded = 3,
};
enum class ZeroKind : std::uint8_t { kConstant = 0, kPoints = 1, kMinima = 2 };

struct Tensor {
  std::string name;
  Layout layout = Layout::kRowMajor;
  Type type = Type::kF32;          // kRowMajor, kPanels: of the elements; others: of the scales
  std::vector<std::int64_t> dims;  // as the graph sees the constant
  // kTiles: W [rows, inputs]; `axis` says which of dims the inputs are. kPanels: W as well;
  // `group_size` rows are a group, whose panels hold no other's rows. kCoded: as kPanels, of int8.
  std::int64_t rows = 0;
  std::int64_t inputs = 0;
  std::int32_t axis = -1;
  std::int32_t bits = 0;
  std::int64_t group_size = 0;  // 16, or a multiple of 32; >= inputs: one group a row
  ZeroKind zero = ZeroKind::kConstant;
  std::int32_t constant_zero = 0;
  // Super-blocks: whole groups, or >= inputs: one a row; 0: each group has a scale of its own.
  std::int64_t super_size = 0;
  std::int32_t sub_bits = 0;  // 4, 6 or 8
  std::int32_t sub_zero = 0;
  std::int32_t scale_exponent = 0;     // of scales of kF8E4M3FN: they are times 2^scale_exponent
  std::vector<std::int8_t> table;      // what codes of up to 4 bits stand for: 16 entries, or none
  std::vector<std::int32_t> segments;  // in the order of the layout's streams
};

// Bytes of each stream of a tensor, in order; an error when the shape overflows or breaks a rule.
Expected<std::vector<std::uint64_t>> stream_bytes(const Tensor& tensor);

enum class UnaryFunction : std::uint8_t {
  kIdentity = 0,
  kSilu = 1,
  kGeluErf = 2,
  kGeluTanh = 3,
  kGeluQuick = 4,
  kTanh = 5,
  kSigmoid = 6,
  kRelu = 7,
  kExp = 8,
  kErf = 9,
  kSqrt = 10,
  kReciprocal = 11,
  kNeg = 12,
  kAbs = 13,
  kLog = 14,
  kSin = 15,
  kCos = 16,
  kFloor = 17,
  kCeil = 18,
  kRound = 19,
  kSoftplus = 20,
  kHardSwish = 21,
  kNot = 22,
  kTan = 23,
  kAsin = 24,
  kAcos = 25,
  kAtan = 26,
  kSinh = 27,
  kCosh = 28,
  kAsinh = 29,
  kAcosh = 30,
  kAtanh = 31,
  kSign = 32,
  kSoftsign = 33,
  kMish = 34,
  kBitwiseNot = 35,
  kIsNan = 36,  // to bool
  // With floats `alpha`, or `alpha` and `beta`.
  kElu = 37,
  kSelu = 38,  // beta: ONNX's gamma
  kCelu = 39,
  kHardSigmoid = 40,
  kLeakyRelu = 41,
  kThresholdedRelu = 42,
  kShrink = 43,  // alpha: ONNX's lambd, beta: its bias
  kSwish = 44,
};
inline constexpr UnaryFunction kLastUnaryFunction = UnaryFunction::kSwish;
enum class BinaryFunction : std::uint8_t {
  kAdd = 0,
  kSub = 1,
  kMul = 2,
  kDiv = 3,
  kMin = 4,
  kMax = 5,
  kPow = 6,
  kEqual = 7,
  kLess = 8,
  kLessOrEqual = 9,
  kGreater = 10,
  kGreaterOrEqual = 11,
  kAnd = 12,
  kOr = 13,
  kMod = 14,  // with the sign of the divisor
  kXor = 15,
  kBitwiseAnd = 16,
  kBitwiseOr = 17,
  kBitwiseXor = 18,
  kShiftLeft = 19,
  kShiftRight = 20,
  kFmod = 21,  // with the sign of the dividend
  kPrelu = 22,
};
inline constexpr BinaryFunction kLastBinaryFunction = BinaryFunction::kPrelu;
// Does it give bool?
constexpr bool is_predicate(BinaryFunction function) {
  return (function >= BinaryFunction::kEqual && function <= BinaryFunction::kOr) ||
         function == BinaryFunction::kXor;
}
enum class ReduceFunction : std::uint8_t {
  kSum = 0,
  kMean = 1,
  kMax = 2,
  kMin = 3,
  kL2 = 4,
  kProd = 5
};

// Attention: ints `q_heads`, `kv_heads`, `causal`, `window` (0: none; a key is seen when
// key_position > query_position - window); floats `scale`, `softcap` (0: none).
struct Attribute {
  std::string name;
  std::vector<std::int64_t> ints;
  std::vector<float> floats;
  std::string text;
};

struct Instruction {
  Op op = Op::kReshape;
  std::string name;                  // of the source node, for blame and profiles
  std::vector<std::int32_t> inputs;  // slots; -1: absent
  std::vector<std::int32_t> outputs;
  std::vector<Attribute> attributes;
  std::vector<std::int32_t> regions;  // bodies, for control flow

  const Attribute* find(std::string_view attribute) const;
  std::int64_t integer(std::string_view attribute, std::int64_t fallback) const;
  float real(std::string_view attribute, float fallback) const;
  std::string_view text(std::string_view attribute, std::string_view fallback) const;
};

// The entry's inputs come with the call; a body's are set by the instruction that runs it. A body
// reads outer slots as they are.
struct Region {
  std::vector<std::int32_t> inputs;  // slots
  std::vector<std::int32_t> outputs;
  std::vector<Instruction> instructions;
};

// An input that takes what an output gave in the call before. A cache grows along its `axis`: the
// runtime keeps it in place and attention appends to it. Slots of kind kState.
struct State {
  enum class Kind : std::uint8_t { kCopy = 0, kCache = 1 };
  Kind kind = Kind::kCopy;
  std::int32_t input = -1;
  std::int32_t output = -1;
  std::int32_t axis = -1;
  // kCache: [kv_heads, dim] per position.
  std::int64_t heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t window = 0;  // positions that can still be seen; 0: all
};

enum class Task : std::uint8_t { kTensors = 0, kGenerate = 1, kEmbed = 2 };
enum class CacheType : std::uint8_t { kF32 = 0, kF16 = 1, kInt8 = 2, kInt4 = 3 };

struct Program {
  std::vector<std::string> symbols;
  std::vector<Slot> slots;
  std::vector<Tensor> tensors;
  std::vector<Segment> segments;
  std::vector<Region> regions;  // region 0 is the entry
  std::vector<State> states;
  Task task = Task::kTensors;
  CacheType cache = CacheType::kF32;     // what a session uses unless told otherwise
  std::optional<CacheType> value_cache;  // of values; none: as the keys'
  std::int64_t max_context = 0;

  // By the indices that they name each other by.
  const Slot& slot(std::int32_t index) const { return slots[static_cast<std::size_t>(index)]; }
  Slot& slot(std::int32_t index) { return slots[static_cast<std::size_t>(index)]; }
  const Tensor& tensor(std::int32_t index) const {
    return tensors[static_cast<std::size_t>(index)];
  }
  const Segment& segment(std::int32_t index) const {
    return segments[static_cast<std::size_t>(index)];
  }
  Segment& segment(std::int32_t index) { return segments[static_cast<std::size_t>(index)]; }
  const Region& region(std::int32_t index) const {
    return regions[static_cast<std::size_t>(index)];
  }
};

// Checks every index, arity, attribute and size rule, so that the runtime can trust the program.
// `file_bytes` bounds the segments. An error names the slot, tensor or instruction.
Status verify(const Program& program, std::uint64_t file_bytes);

// A size under values of the symbols; an error on overflow or a negative result.
Expected<std::int64_t> evaluate(const Size& size, const std::vector<std::int64_t>& symbols);

}  // namespace thimble::program
