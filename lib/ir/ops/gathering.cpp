// Shapes of what is picked by indices, repeated, or made.

#include "ir/ops/shape_context.h"
#include "ir/ops/shape_functions.h"

namespace thimble::ir::shapes {

Status gather_elements(ShapeContext& c) {
  THIMBLE_TRY(normal_axis(c.node().integer("axis", 0), c.shape(0).size()));
  if (c.shape(1).size() != c.shape(0).size())
    return invalid_file("indices must have as many axes as what they pick from");
  c.give(c.dtype(0), c.shape(1));
  return ok();
}

Status gather_nd(ShapeContext& c) {
  const Shape &from = c.shape(0), &indices = c.shape(1);
  const std::int64_t batch = c.node().integer("batch_dims", 0);
  if (indices.empty() || batch < 0 || batch >= static_cast<std::int64_t>(indices.size()))
    return invalid_file("batch_dims is outside of the indices");
  const auto width = indices.back().constant();
  if (!width) return unsupported("the width of the indices is unknown");
  if (*width < 1 || *width + batch > static_cast<std::int64_t>(from.size()))
    return invalid_file("indices are wider than what they pick from has axes");
  Shape out(indices.begin(), indices.end() - 1);
  out.insert(out.end(), from.begin() + static_cast<std::ptrdiff_t>(batch + *width), from.end());
  c.give(c.dtype(0), std::move(out));
  return ok();
}

// Known elements that are numbers are counted.
Status non_zero(ShapeContext& c) {
  THIMBLE_ASSIGN(const DimData known, c.need_data(0, "the elements"));
  const auto count = element_count(c.shape(0)).constant();
  if (!count || *count != static_cast<std::int64_t>(known.size()))
    return unsupported("the elements are known in part");
  DimData places;
  for (std::size_t i = 0; i < known.size(); ++i) {
    const auto number = known[i].constant();
    if (!number) return unsupported("an element depends on a size");
    if (*number != 0) places.push_back(static_cast<std::int64_t>(i));
  }
  const std::size_t rank = c.shape(0).size();
  Shape out = {static_cast<std::int64_t>(rank), static_cast<std::int64_t>(places.size())};
  c.give(DType::kI64, std::move(out), rank == 1 ? std::optional(std::move(places)) : std::nullopt);
  return ok();
}

Status one_hot(ShapeContext& c) {
  THIMBLE_ASSIGN(const DimData depth, c.need_data(1, "the depth"));
  if (depth.size() != 1) return invalid_file("the depth must be one number");
  Shape out = c.shape(0);
  THIMBLE_ASSIGN(const std::size_t axis, normal_axis(c.node().integer("axis", -1), out.size() + 1));
  out.insert(out.begin() + static_cast<std::ptrdiff_t>(axis), depth[0]);
  c.give(c.dtype(2), std::move(out));
  return ok();
}

Status tile(ShapeContext& c) {
  THIMBLE_ASSIGN(const DimData repeats, c.need_data(1, "the repeats"));
  Shape out = c.shape(0);
  if (repeats.size() != out.size())
    return invalid_file("there must be one number of repeats an axis");
  for (std::size_t d = 0; d < out.size(); ++d) out[d] = out[d] * repeats[d];
  std::optional<DimData> data = out.size() == 1 ? c.data(0) : std::nullopt;
  const auto times = data ? repeats[0].constant() : std::nullopt;
  const auto most = static_cast<std::int64_t>(ShapeContext::kMostData);
  if (!times || *times < 0 || *times > most) {
    data.reset();
  } else {
    const DimData once = *data;
    data->clear();
    for (std::int64_t i = 0; i < *times && static_cast<std::int64_t>(data->size()) <= most; ++i)
      data->insert(data->end(), once.begin(), once.end());
  }
  c.give(c.dtype(0), std::move(out), std::move(data));
  return ok();
}

Status size(ShapeContext& c) {
  const Dim count = element_count(c.shape(0));
  c.give(DType::kI64, {}, DimData{count});
  return ok();
}

Status eye_like(ShapeContext& c) {
  if (c.shape(0).size() != 2) return invalid_file("the input must be a matrix");
  const std::int64_t type = c.node().integer("dtype", static_cast<std::int64_t>(c.dtype(0)));
  if (type <= 0 || type > 255 || dtype_bits(static_cast<DType>(type)) == 0)
    return invalid_file("type " + std::to_string(type) + " is unknown");
  c.give(static_cast<DType>(type), c.shape(0));
  return ok();
}

Status linear_attention(ShapeContext& c) {
  const Shape &q = c.shape(0), &v = c.shape(2);
  const std::int64_t q_heads = c.node().integer("q_num_heads", 0),
                     heads = c.node().integer("kv_num_heads", 0);
  if (q.size() != 3 || v.size() != 3) return invalid_file("queries and values have three axes");
  if (q_heads < 1 || heads < 1 || q_heads % heads != 0)
    return invalid_file("kv_num_heads must divide q_num_heads");
  const Dim keys = Dim::floor_div(q[2], q_heads), values = Dim::floor_div(v[2], heads);
  c.give({{c.dtype(0), {q[0], q[1], values * Dim(q_heads)}, {}},
          {c.has(3) ? c.dtype(3) : c.dtype(0), {q[0], heads, keys, values}, {}}});
  return ok();
}

Status causal_convolution(ShapeContext& c) {
  const Shape &x = c.shape(0), &w = c.shape(1);
  if (x.size() != 3 || w.size() != 3) return invalid_file("input and weight have three axes");
  c.give({{c.dtype(0), x, {}}, {c.dtype(0), {x[0], x[1], w[2] - Dim(1)}, {}}});
  return ok();
}

}  // namespace thimble::ir::shapes
