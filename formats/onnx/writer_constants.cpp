#include "formats/onnx/writer_constants.h"

#include <algorithm>
#include <bit>

#include "support/checked.h"

namespace thimble::formats::onnx {
namespace {

constexpr std::int64_t kLargestBlock = 256, kLeastBlock = 16;

}  // namespace

std::int64_t block_of(const ir::Weight& w, int bits) {
  const std::int64_t inputs = w.inputs(), group = w.encoding.group_size;
  if (inputs < 1 || w.rows() < 1) return 0;
  const std::int64_t most =  // no fast kernel for 2 bits in blocks of 16 or 256
      bits == 2 ? kLargestBlock / 2 : kLargestBlock;
  if (w.encoding.groups(inputs) > 1 || (!w.encoding.per_tensor && group > 0)) {
    const auto low = static_cast<std::int64_t>(
        std::uint64_t{1} << std::countr_zero(static_cast<std::uint64_t>(group)));
    if (low >= kLeastBlock) return std::min(low, most);
    if (w.encoding.groups(inputs) > 1) return 0;
  }
  std::int64_t best = 0, least = 0;
  for (std::int64_t block = most; block >= kLeastBlock; block /= 2) {
    const std::int64_t cost = ceil_div(inputs, block) * (block * bits + 16);
    if (best == 0 || cost < least) best = block, least = cost;
  }
  return best;
}

std::int64_t whole_block_of(const ir::Weight& w, int bits) {
  std::int64_t block = block_of(w, bits);
  while (block >= kLeastBlock && w.inputs() % block != 0) block /= 2;
  return block >= kLeastBlock ? block : 0;
}

ir::ValueId WeightConstants::codes(ir::WeightId id, const std::string& form,
                                   const std::function<ir::Weight()>& make) {
  const ir::ValueId value = emit_.constant(key_of(id, form), make);
  emit_.name_later(value, model_.weight(id).name);
  return value;
}

WeightConstants::Parts WeightConstants::blocks(ir::WeightId id, const CodeForm& form,
                                               std::int64_t block) {
  const ir::Weight weight = model_.weight(id);
  const std::string tail = std::to_string(form.bits) + " " + std::to_string(block);
  Parts out;
  out.codes = codes(id, "packed " + tail, [&] {
    ir::Weight made = packed_codes(weight, form, block);
    if (!uses_[id].multiplied) made.dims = {made.dims[0], made.dims[1] * made.dims[2]};
    return made;
  });
  out.scales =
      emit_.constant(key_of(id, "scales " + tail), [&] { return block_scales(weight, block); });
  if (form.points)
    out.zeros = emit_.constant(key_of(id, "zeros " + tail),
                               [&] { return packed_zeros(weight, form, block); });
  tell_width(weight, form);
  return out;
}

WeightConstants::Parts WeightConstants::columns(ir::WeightId id, const CodeForm& form) {
  const ir::Weight weight = model_.weight(id);
  Parts out;
  out.codes = codes(id, "columns", [&] { return signed_codes(weight, form, {}, Order::kColumns); });
  out.scales =
      emit_.constant(key_of(id, "row scales"), [&] { return group_scales(weight, Order::kRows); });
  out.zeros = emit_.constant(key_of(id, "row zeros"),
                             [&] { return signed_zeros(weight, form, Order::kRows); });
  tell_width(weight, form);
  return out;
}

ir::ValueId WeightConstants::minima(ir::WeightId id, const CodeForm& form) {
  return emit_.constant(key_of(id, "minima"), [&] {
    ir::Weight made = group_minima(model_.weight(id), form, Order::kColumns);
    if (made.dims.size() == 1) made.dims = {1, made.dims[0]};
    return made;
  });
}

void WeightConstants::tell_width(const ir::Weight& weight, const CodeForm& form) {
  if (weight.encoding.bits < form.bits)
    notes_.add(weight, "written in codes of " + std::to_string(form.bits) + " bits instead of " +
                           std::to_string(weight.encoding.bits) + ": the same numbers");
}

std::uint64_t encoded_bytes(const ir::Weight& weight) {
  const CodeForm form = code_form(weight.encoding);
  const std::int64_t block = std::max(block_of(weight, form.bits), kLeastBlock);
  std::uint64_t bytes =
      packed_codes(weight, form, block).byte_size() + block_scales(weight, block).byte_size();
  if (form.points) bytes += packed_zeros(weight, form, block).byte_size();
  if (weight.encoding.zero == ir::ZeroKind::kMinima)
    bytes += group_minima(weight, form, Order::kColumns).byte_size();
  return bytes;
}

}  // namespace thimble::formats::onnx
