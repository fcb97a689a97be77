// Dims of results of the operators that are planned where sizes are known, for where they aren't.
// What else `run` relies on is checked by check_call afterwards.

#include <algorithm>

#include "runtime/ops/ops.h"

namespace thimble::runtime {

Expected<Dims> broadcast_dims(const Dims& a, const Dims& b) {
  Dims out = a.size() >= b.size() ? a : b;
  const Dims& shorter = a.size() >= b.size() ? b : a;
  for (std::size_t i = 0; i < shorter.size(); ++i) {
    std::int64_t& dim = out[out.size() - shorter.size() + i];
    if (dim != shorter[i] && dim != 1 && shorter[i] != 1)
      return invalid_argument("shapes don't broadcast: " + std::to_string(dim) + " against " +
                              std::to_string(shorter[i]));
    if (dim == 1) dim = shorter[i];
  }
  return out;
}

Expected<std::size_t> axis_at(std::int64_t axis, std::size_t rank) {
  const auto signed_rank = static_cast<std::int64_t>(rank);
  if (axis < -signed_rank || axis >= signed_rank)
    return invalid_argument("axis " + std::to_string(axis) + " is outside of a tensor of rank " +
                            std::to_string(rank));
  return static_cast<std::size_t>(axis < 0 ? axis + signed_rank : axis);
}

Expected<std::vector<std::int64_t>> integers_of(const Value& value) {
  std::vector<std::int64_t> out(static_cast<std::size_t>(value.count()));
  if (value.type == program::Type::kI64) {
    std::copy_n(static_cast<const std::int64_t*>(value.data), out.size(), out.begin());
  } else if (value.type == program::Type::kI32) {
    std::copy_n(static_cast<const std::int32_t*>(value.data), out.size(), out.begin());
  } else {
    return invalid_argument("an input that holds sizes must be i64 or i32");
  }
  return out;
}

std::int64_t slice_start(std::int64_t start, std::int64_t step, std::int64_t dim) {
  if (start < 0) start = start < -dim ? -1 : start + dim;
  if (step > 0) return std::clamp<std::int64_t>(start, 0, dim);
  return std::min(start, dim - 1);
}

Status shape_same(const Call& call, std::vector<Dims>& results) {
  results[0] = call.inputs[0]->dims;
  return ok();
}

Status shape_binary(const Call& call, std::vector<Dims>& results) {
  THIMBLE_ASSIGN(results[0], broadcast_dims(call.inputs[0]->dims, call.inputs[1]->dims));
  return ok();
}

Status shape_where(const Call& call, std::vector<Dims>& results) {
  THIMBLE_ASSIGN(const Dims sides, broadcast_dims(call.inputs[1]->dims, call.inputs[2]->dims));
  THIMBLE_ASSIGN(results[0], broadcast_dims(call.inputs[0]->dims, sides));
  return ok();
}

Status shape_linear(const Call& call, std::vector<Dims>& results) {
  if (call.inputs[0]->dims.empty()) return invalid_argument("a product takes rows");
  for (std::size_t i = 0; i < results.size(); ++i) {
    const Value& w = *call.inputs[1 + 2 * i];
    if (w.tensor == nullptr && w.dims.size() != 2)
      return invalid_argument("a product's weight has the wrong shape");
    results[i] = call.inputs[0]->dims;
    results[i].back() = w.tensor != nullptr ? w.grouped.rows : w.dims[0];
  }
  return ok();
}

Expected<Dims> matmul_dims(Dims a, Dims b) {
  if (a.empty() || b.empty()) return invalid_argument("MatMul takes no scalars");
  const bool row = a.size() == 1, column = b.size() == 1;
  if (row) a.insert(a.begin(), 1);
  if (column) b.push_back(1);
  if (a.back() != b[b.size() - 2])
    return invalid_argument("MatMul's sizes don't fit: " + std::to_string(a.back()) + " against " +
                            std::to_string(b[b.size() - 2]));
  THIMBLE_ASSIGN(Dims out,
                 broadcast_dims(Dims(a.begin(), a.end() - 2), Dims(b.begin(), b.end() - 2)));
  if (!row) out.push_back(a[a.size() - 2]);
  if (!column) out.push_back(b.back());
  return out;
}

Status shape_matmul(const Call& call, std::vector<Dims>& results) {
  THIMBLE_ASSIGN(results[0], matmul_dims(call.inputs[0]->dims, call.inputs[1]->dims));
  return ok();
}

Status shape_gather(const Call& call, std::vector<Dims>& results) {
  const Dims &table = call.inputs[0]->dims, &indices = call.inputs[1]->dims;
  THIMBLE_ASSIGN(const std::size_t axis,
                 axis_at(call.instruction.integer("axis", 0), table.size()));
  Dims out(table.begin(), table.begin() + static_cast<std::ptrdiff_t>(axis));
  out.insert(out.end(), indices.begin(), indices.end());
  out.insert(out.end(), table.begin() + static_cast<std::ptrdiff_t>(axis) + 1, table.end());
  results[0] = std::move(out);
  return ok();
}

Dims permutation_of(const Call& call) {
  const program::Attribute* perm = call.instruction.find("perm");
  if (perm != nullptr && !perm->ints.empty()) return perm->ints;
  Dims out;
  for (std::size_t d = call.inputs[0]->dims.size(); d > 0; --d)
    out.push_back(static_cast<std::int64_t>(d) - 1);
  return out;
}

Status shape_transpose(const Call& call, std::vector<Dims>& results) {
  const Dims& x = call.inputs[0]->dims;
  const Dims perm = permutation_of(call);
  if (perm.size() != x.size()) return invalid_argument("Transpose's perm doesn't fit");
  for (const std::int64_t axis : perm) {
    if (axis < 0 || axis >= static_cast<std::int64_t>(x.size()))
      return invalid_argument("Transpose's perm doesn't fit");
    results[0].push_back(x[static_cast<std::size_t>(axis)]);
  }
  return ok();
}

Status shape_concat(const Call& call, std::vector<Dims>& results) {
  Dims out = call.inputs[0]->dims;
  THIMBLE_ASSIGN(const std::size_t axis, axis_at(call.instruction.integer("axis", 0), out.size()));
  for (std::size_t i = 1; i < call.inputs.size(); ++i) {
    if (call.inputs[i]->dims.size() != out.size())
      return invalid_argument("Concat's inputs differ in rank");
    out[axis] += call.inputs[i]->dims[axis];
  }
  results[0] = std::move(out);
  return ok();
}

}  // namespace thimble::runtime
