// What an instruction demands of its values' types and dims. A file's numbers and a call's sizes
// come together here, before anything runs: the operators trust what passed.

#include <algorithm>

#include "runtime/ops/ops.h"
#include "runtime/ops/product_rows.h"
#include "runtime/widen.h"
#include "support/checked.h"

namespace thimble::runtime {
namespace {

using program::BinaryFunction;
using program::Op;
using program::Type;

Status fits(bool right, const char* message) {
  return right ? ok() : Status(invalid_file(message));
}

bool same(const Value& a, const Value& b) { return a.type == b.type && a.dims == b.dims; }
bool same_count(const Value& a, const Value& b) { return a.count() == b.count(); }
bool is_float(const Value& v) { return v.type == Type::kF32; }
std::size_t axis_of(const Call& call, std::size_t rank) {
  const auto axis = axis_at(call.instruction.integer("axis", 0), rank);
  return axis ? *axis : rank;
}

// Does `dims` broadcast to `out`?
bool spreads(const Dims& dims, const Dims& out) {
  if (dims.size() > out.size()) return false;
  const std::size_t lead = out.size() - dims.size();
  for (std::size_t d = 0; d < dims.size(); ++d) {
    if (dims[d] != 1 && dims[d] != out[lead + d]) return false;
  }
  return true;
}

bool is_recurrent(Op op) { return op == Op::kLstm || op == Op::kGru || op == Op::kRnn; }

// May it read a tensor of this layout there?
bool is_weight(const Call& call, std::size_t input, program::Layout layout) {
  if (layout == program::Layout::kPanels)
    return call.instruction.op == Op::kConvPanels && input == 1;
  if (layout == program::Layout::kCoded)
    return input == 1 &&
           (call.instruction.op == Op::kConvCodes || call.instruction.op == Op::kMultiplyCodes);
  return (call.instruction.op == Op::kLinear && input % 2 == 1) ||
         (call.instruction.op == Op::kConvTiles && input == 1) ||
         (is_recurrent(call.instruction.op) && (input == 1 || input == 2)) ||
         (call.instruction.op == Op::kGather && input == 0);
}

Status check_linear(const Call& call) {
  const Value& x = *call.inputs[0];
  if (!is_float(x) || x.dims.empty()) return invalid_file("a product takes f32 rows");
  THIMBLE_TRY(Activations::check(call.instruction));
  const std::int64_t inputs = x.dims.back();
  const std::int64_t rows = inputs > 0 ? x.count() / inputs : 0;
  for (std::size_t i = 0; i < call.outputs.size(); ++i) {
    const Value& w = *call.inputs[1 + 2 * i];
    const Value* bias = call.inputs[2 + 2 * i];
    const Value& y = *call.outputs[i];
    const bool tiled = w.tensor != nullptr;
    const bool dense = w.dims.size() == 2 && (w.type == Type::kF32 || is_narrow(w.type));
    if (!tiled && !dense) return invalid_file("a product's weight has the wrong type or shape");
    const std::int64_t outputs = tiled ? w.grouped.rows : w.dims[0];
    const bool right = (tiled ? w.grouped.inputs : w.dims[1]) == inputs && inputs > 0 &&
                       is_float(y) && !y.dims.empty() && y.dims.back() == outputs &&
                       y.count() == rows * outputs &&
                       (bias == nullptr || (is_float(*bias) && bias->count() == outputs));
    if (!right) return invalid_file("a product's shapes don't fit");
  }
  return ok();
}

Status check_gather(const Call& call) {
  const Value &table = *call.inputs[0], &indices = *call.inputs[1], &y = *call.outputs[0];
  const std::size_t axis = axis_of(call, table.dims.size());
  if (indices.type != Type::kI64 && indices.type != Type::kI32)
    return invalid_file("Gather takes i64 or i32 indices");
  if (axis == table.dims.size()) return invalid_file("Gather's axis isn't there");
  Dims dims(table.dims.begin(), table.dims.begin() + static_cast<std::ptrdiff_t>(axis));
  dims.insert(dims.end(), indices.dims.begin(), indices.dims.end());
  dims.insert(dims.end(), table.dims.begin() + static_cast<std::ptrdiff_t>(axis) + 1,
              table.dims.end());
  if (dims != y.dims) return invalid_file("Gather's shapes don't fit");
  if (table.tensor != nullptr) {
    const bool rows = axis == 0 && table.dims.size() == 2 && table.grouped.rows == table.dims[0] &&
                      table.grouped.inputs == table.dims[1];
    return fits(rows && is_float(y), "a table in tiles is gathered by rows, to f32");
  }
  if (table.type == y.type) return ok();
  const bool narrow = is_narrow(table.type);
  return fits(narrow && is_float(y) && axis == 0 && table.dims.size() == 2,
              "Gather's types don't fit");
}

Status check_norm(const Call& call) {
  const Value &x = *call.inputs[0], &y = *call.outputs[0];
  const std::int64_t width = call.instruction.integer("width", 0);
  if (!is_float(x) || !same(x, y)) return invalid_file("a norm takes and gives f32");
  if (width < 1 || x.count() % width != 0)
    return invalid_file("a norm's width doesn't divide its input");
  const std::size_t addend = call.instruction.op == Op::kRmsNorm ? 2 : 3;
  for (std::size_t i = 1; i < call.inputs.size(); ++i) {
    const Value* given = call.inputs[i];
    if (given == nullptr) continue;
    const bool right = i == addend ? same(*given, x) : is_float(*given) && given->count() == width;
    if (!right) return invalid_file("a norm's weight doesn't fit its rows");
  }
  const Value* sum = call.outputs.size() > 1 ? call.outputs[1] : nullptr;
  const bool added = call.inputs.size() > addend && call.inputs[addend] != nullptr;
  return fits(sum == nullptr || (added && same(*sum, x)), "a norm's sum doesn't fit its input");
}

Status check_rotary(const Call& call) {
  const Value &x = *call.inputs[0], &cosine = *call.inputs[1], &sine = *call.inputs[2];
  const std::int64_t heads = call.instruction.integer("heads", 0);
  if (x.dims.size() != 3 || heads < 1 || x.dims[2] % heads != 0)
    return unsupported("rotary positions take [batch, seq, heads * dim]");
  const std::int64_t dim = x.dims[2] / heads;
  const std::int64_t given = call.instruction.integer("rotary", 0);
  const std::int64_t rotary = given > 0 ? given : dim;
  const std::int64_t angles = x.dims[0] * x.dims[1] * (rotary / 2);
  const bool right = rotary <= dim && rotary % 2 == 0 && is_float(x) && same(x, *call.outputs[0]) &&
                     is_float(cosine) && is_float(sine) && cosine.count() == angles &&
                     sine.count() == angles;
  return fits(right, "rotary positions' shapes don't fit");
}

Status check_unary(const Call& call) {
  const Value &x = *call.inputs[0], &y = *call.outputs[0];
  const std::int64_t number = call.instruction.integer("function", 0);
  if (number < 0 || number > static_cast<std::int64_t>(program::kLastUnaryFunction))
    return invalid_file("a function is unknown");
  const auto function = static_cast<program::UnaryFunction>(number);
  const bool asks = function == program::UnaryFunction::kIsNan;
  if (x.dims != y.dims || y.type != (asks ? Type::kBool : x.type))
    return invalid_file("a function's shapes don't fit");
  return fits(function != program::UnaryFunction::kNot || x.type == Type::kBool, "Not takes bool");
}

Status check_binary(const Call& call) {
  const Value &a = *call.inputs[0], &b = *call.inputs[1], &y = *call.outputs[0];
  const std::int64_t number = call.instruction.integer("function", 0);
  if (number < 0 || number > static_cast<std::int64_t>(program::kLastBinaryFunction))
    return invalid_file("a function of two values is unknown");
  const auto function = static_cast<BinaryFunction>(number);
  if (a.type != b.type && function != BinaryFunction::kPow)
    return invalid_file("a function of two values takes two of one type");
  const bool right = y.type == (program::is_predicate(function) ? Type::kBool : a.type) &&
                     spreads(a.dims, y.dims) && spreads(b.dims, y.dims);
  return fits(right, "a function's shapes don't fit");
}

Status check_rows(const Call& call) {
  const Value& x = *call.inputs[0];
  return fits(is_float(x) && !x.dims.empty() && same(x, *call.outputs[0]),
              "an instruction takes and gives f32 of one shape");
}

Status check_softmax(const Call& call) {
  const Value& x = *call.inputs[0];
  return fits(same(x, *call.outputs[0]) && axis_of(call, x.dims.size()) < x.dims.size(),
              "Softmax's shapes don't fit");
}

Status check_gated(const Call& call) {
  const Value& gate = *call.inputs[0];
  const std::int64_t function = call.instruction.integer("function", 0);
  const bool right = function >= 0 &&
                     function <= static_cast<std::int64_t>(program::UnaryFunction::kHardSwish) &&
                     is_float(gate) && same(gate, *call.inputs[1]) && same(gate, *call.outputs[0]);
  return fits(right, "a gated function's shapes don't fit");
}

Status check_reshape(const Call& call) {
  return fits(call.inputs[0]->type == call.outputs[0]->type &&
                  same_count(*call.inputs[0], *call.outputs[0]),
              "a reshape changes the number of elements");
}

Status check_transpose(const Call& call) {
  const Value &x = *call.inputs[0], &y = *call.outputs[0];
  const Dims perm = permutation_of(call);
  const std::size_t rank = x.dims.size();
  if (perm.size() != rank || y.dims.size() != rank || x.type != y.type)
    return invalid_file("Transpose's perm doesn't fit");
  std::vector<bool> seen(rank, false);
  for (std::size_t d = 0; d < rank; ++d) {
    const std::int64_t axis = perm[d];
    if (axis < 0 || axis >= static_cast<std::int64_t>(rank) ||
        seen[static_cast<std::size_t>(axis)] ||
        y.dims[d] != x.dims[static_cast<std::size_t>(axis)]) {
      return invalid_file("Transpose's perm doesn't fit");
    }
    seen[static_cast<std::size_t>(axis)] = true;
  }
  return ok();
}

Status check_concat(const Call& call) {
  const Value& y = *call.outputs[0];
  const std::size_t axis = axis_of(call, y.dims.size());
  if (axis == y.dims.size()) return invalid_file("Concat's axis isn't there");
  std::int64_t length = 0;
  for (const Value* x : call.inputs) {
    if (x->type != y.type || x->dims.size() != y.dims.size())
      return invalid_file("Concat's inputs don't fit");
    for (std::size_t d = 0; d < y.dims.size(); ++d) {
      if (d != axis && x->dims[d] != y.dims[d]) return invalid_file("Concat's inputs don't fit");
    }
    length += x->dims[axis];
  }
  return fits(length == y.dims[axis], "Concat's inputs don't fit");
}

Status check_slice(const Call& call) {
  const Value &x = *call.inputs[0], &y = *call.outputs[0];
  const auto &starts = call.instruction.find("starts"), &axes = call.instruction.find("axes"),
             &steps = call.instruction.find("steps");
  if (starts == nullptr || axes == nullptr || steps == nullptr ||
      axes->ints.size() != starts->ints.size() || steps->ints.size() != starts->ints.size()) {
    return invalid_file("Slice's axes don't fit");
  }
  if (x.type != y.type || x.dims.size() != y.dims.size())
    return invalid_file("Slice's shapes don't fit");
  std::vector<bool> sliced(x.dims.size(), false);
  for (std::size_t n = 0; n < starts->ints.size(); ++n) {
    if (axes->ints[n] < 0 || axes->ints[n] >= static_cast<std::int64_t>(x.dims.size()))
      return invalid_file("Slice's axes don't fit");
    const auto axis = static_cast<std::size_t>(axes->ints[n]);
    const std::int64_t step = steps->ints[n], count = y.dims[axis];
    if (sliced[axis] || step == 0) return invalid_file("Slice's axes don't fit");
    sliced[axis] = true;
    if (count == 0) continue;
    const std::int64_t from = slice_start(starts->ints[n], step, x.dims[axis]);
    const auto reach = checked_mul(count - 1, step);
    const auto last = reach ? checked_add(from, *reach) : reach;
    if (from < 0 || from >= x.dims[axis] || !last || *last < 0 || *last >= x.dims[axis])
      return invalid_argument("a slice reaches past its input");
  }
  for (std::size_t d = 0; d < x.dims.size(); ++d) {
    if (!sliced[d] && x.dims[d] != y.dims[d]) return invalid_file("Slice's shapes don't fit");
  }
  return ok();
}

Status check_reduce(const Call& call) {
  const Value &x = *call.inputs[0], &y = *call.outputs[0];
  const program::Attribute* axes = call.instruction.find("axes");
  const std::int64_t function = call.instruction.integer("function", 0);
  if (function < 0 || function > static_cast<std::int64_t>(program::ReduceFunction::kProd))
    return invalid_file("an unknown reduction");
  std::int64_t kept = 1;
  for (std::size_t d = 0; d < x.dims.size(); ++d) {
    const bool gone =
        axes != nullptr && std::find(axes->ints.begin(), axes->ints.end(),
                                     static_cast<std::int64_t>(d)) != axes->ints.end();
    if (!gone) kept *= x.dims[d];
  }
  return fits(kept == y.count() && x.type == y.type, "a reduction's shapes don't fit");
}

Status check_where(const Call& call) {
  const Value &a = *call.inputs[1], &b = *call.inputs[2], &y = *call.outputs[0];
  const bool right = call.inputs[0]->type == Type::kBool && a.type == y.type && b.type == y.type &&
                     spreads(call.inputs[0]->dims, y.dims) && spreads(a.dims, y.dims) &&
                     spreads(b.dims, y.dims);
  return fits(right, "Where's shapes don't fit");
}

Status check_matmul(const Call& call) {
  const Value &a = *call.inputs[0], &b = *call.inputs[1], &y = *call.outputs[0];
  if (a.type != b.type || y.type != a.type)
    return invalid_file("a product is of two values of one type");
  THIMBLE_ASSIGN(const Dims dims, matmul_dims(a.dims, b.dims));
  return fits(dims == y.dims, "a product's shapes don't fit");
}

Status check_cumsum(const Call& call) {
  const Value& x = *call.inputs[0];
  return fits(same(x, *call.outputs[0]) && axis_of(call, x.dims.size()) < x.dims.size(),
              "CumSum's shapes don't fit");
}

}  // namespace

// Tiles and caches have no plain elements: only products and lookups read the ones, and attention
// the others.
Status check_operands(const Call& call) {
  for (std::size_t i = 0; i < call.inputs.size(); ++i) {
    const Value* input = call.inputs[i];
    if (input == nullptr) continue;
    if (input->tensor != nullptr && !is_weight(call, i, input->tensor->layout))
      return invalid_file("an instruction can't read a tensor in tiles or panels");
    const Op op = call.instruction.op;
    if (input->cached && op != Op::kAttention && op != Op::kShape && op != Op::kSize)
      return invalid_file("only attention can read a cache");
  }
  return ok();
}

Status check_call(const Call& call) {
  THIMBLE_TRY(check_operands(call));
  switch (call.instruction.op) {
    case Op::kLinear:
      return check_linear(call);
    case Op::kGather:
      return check_gather(call);
    case Op::kRmsNorm:
    case Op::kLayerNorm:
      return check_norm(call);
    case Op::kRotary:
      return check_rotary(call);
    case Op::kAttention:
      return check_attention(call);
    case Op::kUnary:
      return check_unary(call);
    case Op::kBinary:
      return check_binary(call);
    case Op::kGatedUnary:
      return check_gated(call);
    case Op::kSoftmax:
      return check_softmax(call);
    case Op::kScale:
      return check_rows(call);
    case Op::kReshape:
      return check_reshape(call);
    case Op::kTranspose:
      return check_transpose(call);
    case Op::kConcat:
      return check_concat(call);
    case Op::kSlice:
      return check_slice(call);
    case Op::kReduce:
      return check_reduce(call);
    case Op::kCast:
      return fits(same_count(*call.inputs[0], *call.outputs[0]), "Cast's shapes don't fit");
    case Op::kWhere:
      return check_where(call);
    case Op::kMatMul:
      return check_matmul(call);
    case Op::kExpand:
      return fits(call.inputs[0]->type == call.outputs[0]->type &&
                      spreads(call.inputs[0]->dims, call.outputs[0]->dims),
                  "Expand's shapes don't fit");
    case Op::kRange:
      return fits(call.outputs[0]->dims.size() == 1, "a range has one dimension");
    case Op::kCumSum:
      return check_cumsum(call);
    default:
      return ok();  // the operator's shape function has checked it
  }
}

}  // namespace thimble::runtime
