#include "formats/onnx/writer_dequantize.h"

namespace thimble::formats::onnx {
namespace {

bool odd(std::int64_t count) { return count % 2 != 0; }

// Each group's minimum is added to all of its numbers.
ir::ValueId with_minima(const ir::Model& model, ir::ValueId w, ir::WeightId id,
                        const CodeForm& form, Emitter& emit) {
  const ir::Weight weight = model.weight(id);
  const std::int64_t rows = weight.rows(), inputs = weight.inputs(),
                     size = weight.encoding.group_size;
  const std::int64_t groups = weight.encoding.groups(inputs);
  ir::ValueId minima = emit.constant(key_of(id, "row minima"), [&] {
    ir::Weight made = group_minima(weight, form, Order::kRows);
    if (groups == 1) made.dims = {1, rows};
    return made;
  });
  minima =
      emit.node("Reshape", {minima, emit.integers({rows, groups, 1})}, {}, weight.name + "_minima");
  if (groups > 1)
    minima = emit.node("Expand", {minima, emit.integers({rows, groups, size})}, {},
                       weight.name + "_minima");
  minima = emit.node("Reshape", {minima, emit.integers({rows, -1})}, {}, weight.name + "_minima");
  if (groups > 1 && inputs % size != 0)
    minima = emit.node("Slice",
                       {minima, emit.integers({0}), emit.integers({inputs}), emit.integers({1})},
                       {}, weight.name + "_minima");
  return emit.node("Add", {w, minima}, {}, weight.name + "_numbers");
}

// Cast, Mul, Reshape: codes times scales, of groups that are all as long.
ir::ValueId product_of_constants(const ir::Model& model, ir::WeightId id, const CodeForm& form,
                                 Emitter& emit) {
  const ir::Weight weight = model.weight(id);
  const std::int64_t rows = weight.rows(), groups = weight.encoding.groups(weight.inputs());
  const std::int64_t size = weight.inputs() / groups;
  const ir::ValueId codes = emit.constant(key_of(id, "folded"), [&] {
    return signed_codes(weight, form, {rows, groups, size}, Order::kRows);
  });
  emit.name_later(codes, weight.name);
  const ir::ValueId scales = emit.constant(key_of(id, "folded scales"), [&] {
    ir::Weight made = block_scales(weight, size);
    made.dims = {rows, groups, 1};
    return made;
  });
  const ir::ValueId real =
      emit.node("Cast", {codes}, {{"to", std::int64_t{1}}}, weight.name + "_codes");
  const ir::ValueId product = emit.node("Mul", {real, scales}, {}, weight.name + "_product");
  return emit.node("Reshape", {product, emit.integers(weight.dims)}, {},
                   weight.name + "_dequantized");
}

}  // namespace

CodeForm dequantized_form(const ir::Weight& weight) {
  const CodeForm form = code_form(weight.encoding, 4);
  const std::int64_t groups = weight.encoding.groups(weight.inputs());
  const bool columns = !last_axis(weight) && weight.encoding.zero != ir::ZeroKind::kMinima;
  const bool ragged = odd(columns ? weight.rows() : weight.inputs()) ||
                      (form.points && groups > 1 && odd(columns ? weight.rows() : groups));
  return ragged ? code_form(weight.encoding, 8) : form;
}

ir::ValueId dequantized(const ir::Model& model, ir::WeightId id, bool folded, Emitter& emit) {
  const ir::Weight weight = model.weight(id);
  const ir::Encoding& e = weight.encoding;
  const std::int64_t rows = weight.rows(), inputs = weight.inputs(), groups = e.groups(inputs);
  const bool minima = e.zero == ir::ZeroKind::kMinima;
  const bool turned = !last_axis(weight), columns = turned && !minima;
  const Order order = columns ? Order::kColumns : Order::kRows;
  const bool direct = groups == 1 && !minima && weight.dims.size() >= 2 && weight.dims[0] == rows;
  const std::vector<std::int64_t> dims =
      columns || direct ? weight.dims : std::vector{rows, inputs};
  const CodeForm form = dequantized_form(weight);
  const bool whole = groups == 1 || inputs % e.group_size == 0;
  if (folded && whole && !minima && !turned && !form.points)
    return product_of_constants(model, id, form, emit);
  const std::string tail = std::to_string(form.bits);
  const ir::ValueId codes = emit.constant(key_of(id, "dequantized " + tail),
                                          [&] { return signed_codes(weight, form, dims, order); });
  emit.name_later(codes, weight.name);
  std::vector<ir::ValueId> parts = {codes, emit.constant(key_of(id, "group scales"), [&] {
                                      return group_scales(weight, order);
                                    })};
  if (form.points)
    parts.push_back(emit.constant(key_of(id, "group zeros " + tail),
                                  [&] { return signed_zeros(weight, form, order); }));
  std::vector<ir::Attribute> attributes = {{"axis", std::int64_t{(groups > 1) != columns}}};
  if (groups > 1) attributes.push_back({"block_size", e.group_size});
  ir::ValueId w = emit.node("DequantizeLinear", std::move(parts), std::move(attributes),
                            weight.name + "_dequantized");
  if (minima) w = with_minima(model, w, id, form, emit);
  if (minima && turned)
    w = emit.node("Transpose", {w}, {{"perm", std::vector<std::int64_t>{1, 0}}},
                  weight.name + "_turned");
  const bool shaped = turned || direct || dims == weight.dims;
  return shaped
             ? w
             : emit.node("Reshape", {w, emit.integers(weight.dims)}, {}, weight.name + "_shaped");
}

}  // namespace thimble::formats::onnx
