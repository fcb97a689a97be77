
#include "ir/ops/shape_context.h"
#include "ir/ops/shape_functions.h"

namespace thimble::ir::shapes {
namespace {

// [batch, heads, length, width] of a tensor of attention's, whichever of the two forms it has.
struct Heads {
  Dim batch, heads, length, width;
};

Expected<Heads> heads_of(const Shape& shape, std::int64_t count, std::string_view what) {
  if (shape.size() == 4) return Heads{shape[0], shape[1], shape[2], shape[3]};
  if (shape.size() != 3) {
    return invalid_file(std::string(what) + " must have 3 or 4 dimensions, not " +
                        to_string(shape));
  }
  if (count <= 0) return invalid_file("the number of heads must be given for " + std::string(what));
  const auto hidden = shape[2].constant();
  if (hidden && *hidden % count != 0) {
    return invalid_file(std::string(what) + " of width " + std::to_string(*hidden) +
                        " do not divide into " + std::to_string(count) + " heads");
  }
  return Heads{shape[0], count, shape[1], Dim::floor_div(shape[2], count)};
}

Expected<Dim> total_length(ShapeContext& c, std::size_t past, const Heads& now) {
  if (!c.has(past)) return now.length;
  const Shape& shape = c.shape(past);
  if (shape.size() != 4)
    return invalid_file("a cache must have 4 dimensions, not " + to_string(shape));
  THIMBLE_TRY(same_size(shape[1], now.heads, "heads of the cache and of the keys"));
  THIMBLE_TRY(same_size(shape[3], now.width, "widths of the cache and of the keys"));
  return shape[2] + now.length;
}

// What a reduction of all the known elements of a vector gives, where sizes can say it.
std::optional<DimData> folded(std::string_view op, const std::optional<DimData>& data) {
  if (!data || data->empty()) return std::nullopt;
  Dim total = data->front();
  for (std::size_t i = 1; i < data->size(); ++i) {
    const Dim& next = (*data)[i];
    if (op == "ReduceProd") {
      total = total * next;
    } else if (op == "ReduceSum") {
      total = total + next;
    } else if (op == "ReduceMax") {
      total = Dim::max(total, next);
    } else {
      return std::nullopt;
    }
  }
  return DimData{total};
}

}  // namespace

Expected<Shape> matmul_shape(Shape a, Shape b) {
  if (a.empty() || b.empty()) return invalid_file("a product of scalars");
  const bool row = a.size() == 1, column = b.size() == 1;
  if (row) a.insert(a.begin(), Dim(1));
  if (column) b.push_back(1);
  THIMBLE_TRY(same_size(a.back(), b[b.size() - 2], "inner sizes"));
  THIMBLE_ASSIGN(Shape out, broadcast({a.begin(), a.end() - 2}, {b.begin(), b.end() - 2}));
  if (!row) out.push_back(a[a.size() - 2]);
  if (!column) out.push_back(b.back());
  return out;
}

Status matmul(ShapeContext& c) {
  THIMBLE_ASSIGN(const DType type, common_type(c.dtype(0), c.dtype(1)));
  THIMBLE_ASSIGN(Shape out, matmul_shape(c.shape(0), c.shape(1)));
  c.give(type, std::move(out));
  return ok();
}

Status gemm(ShapeContext& c) {
  const Shape& a = c.shape(0);
  const Shape& b = c.shape(1);
  if (a.size() != 2 || b.size() != 2) return invalid_file("both factors must be matrices");
  THIMBLE_ASSIGN(const DType type, common_type(c.dtype(0), c.dtype(1)));
  const bool ta = c.node().integer("transA", 0) != 0, tb = c.node().integer("transB", 0) != 0;
  THIMBLE_TRY(same_size(a[ta ? 0 : 1], b[tb ? 1 : 0], "inner sizes"));
  Shape out = {a[ta ? 1 : 0], b[tb ? 0 : 1]};
  if (c.has(2)) {
    THIMBLE_ASSIGN(const Shape with_bias, broadcast(out, c.shape(2)));
    if (with_bias.size() != 2) return invalid_file("the bias has too many dimensions");
  }
  c.give(type, std::move(out));
  return ok();
}

Status reduce(ShapeContext& c) {
  const Shape& from = c.shape(0);
  std::vector<bool> reduced(from.size(), false);
  std::vector<std::int64_t> axes;
  if (c.has(1)) {
    THIMBLE_ASSIGN(axes, c.need_numbers(1, "the axes"));
  }
  if (axes.empty()) reduced.assign(from.size(), c.node().integer("noop_with_empty_axes", 0) == 0);
  for (const std::int64_t axis : axes) {
    THIMBLE_ASSIGN(const std::size_t normal, normal_axis(axis, from.size()));
    reduced[normal] = true;
  }
  Shape out;
  for (std::size_t i = 0; i < from.size(); ++i) {
    if (!reduced[i]) {
      out.push_back(from[i]);
    } else if (c.node().integer("keepdims", 1) != 0) {
      out.push_back(1);
    }
  }
  std::optional<DimData> data;
  if (from.size() == 1 && reduced[0]) data = folded(c.node().op, c.data(0));
  c.give(c.dtype(0), std::move(out), std::move(data));
  return ok();
}

Status along_axis(ShapeContext& c) {
  std::int64_t axis = c.node().integer("axis", -1);
  if (c.node().op == "CumSum" || c.node().op == "CumProd") {
    THIMBLE_ASSIGN(const std::vector<std::int64_t> given, c.need_numbers(1, "the axis"));
    if (given.size() != 1) return invalid_file("the axis must be one number");
    axis = given[0];
  }
  THIMBLE_TRY(normal_axis(axis, c.shape(0).size()));
  c.give(c.dtype(0), c.shape(0));
  return ok();
}

Status normalization(ShapeContext& c) {
  const Shape& x = c.shape(0);
  THIMBLE_ASSIGN(const std::size_t axis, normal_axis(c.node().integer("axis", -1), x.size()));
  for (std::size_t i = 1; i < c.input_count(); ++i) {
    if (!c.has(i)) continue;
    const Shape normalized(x.begin() + static_cast<std::ptrdiff_t>(axis), x.end());
    THIMBLE_ASSIGN(const Shape both, broadcast(normalized, c.shape(i)));
    THIMBLE_TRY(same_size(element_count(both), element_count(normalized),
                          "sizes of scale and of the normalised axes"));
  }
  Shape statistics = x;
  for (std::size_t i = axis; i < x.size(); ++i) statistics[i] = 1;
  c.give({{c.dtype(0), x, {}}, {DType::kF32, statistics, {}}, {DType::kF32, statistics, {}}});
  return ok();
}

Status rotary_embedding(ShapeContext& c) {
  THIMBLE_ASSIGN(const Heads x,
                 heads_of(c.shape(0), c.node().integer("num_heads", 0), "the input"));
  const std::int64_t given = c.node().integer("rotary_embedding_dim", 0);
  const Dim rotary = given > 0 ? Dim(given) : x.width;
  for (const std::size_t table : {1, 2}) {
    const Shape& shape = c.shape(table);
    const std::size_t rank = c.has(3) ? 2 : 3;
    if (shape.size() != rank) {
      return invalid_file("tables of angles must have " + std::to_string(rank) +
                          " dimensions, not " + to_string(shape));
    }
    THIMBLE_TRY(
        same_size(shape.back() * Dim(2), rotary, "widths of the angles and of what they turn"));
  }
  c.give(c.dtype(0), c.shape(0));
  return ok();
}

Status attention(ShapeContext& c) {
  const Node& node = c.node();
  THIMBLE_ASSIGN(const Heads q,
                 heads_of(c.shape(0), node.integer("q_num_heads", 0), "the queries"));
  THIMBLE_ASSIGN(const Heads k, heads_of(c.shape(1), node.integer("kv_num_heads", 0), "the keys"));
  THIMBLE_ASSIGN(const Heads v,
                 heads_of(c.shape(2), node.integer("kv_num_heads", 0), "the values"));
  THIMBLE_TRY(same_size(q.width, k.width, "widths of queries and keys"));
  THIMBLE_TRY(same_size(k.length, v.length, "lengths of keys and values"));
  THIMBLE_TRY(same_size(k.heads, v.heads, "heads of keys and values"));
  THIMBLE_ASSIGN(const Dim batch, same_size(q.batch, k.batch, "batches of queries and keys"));
  const auto query_heads = q.heads.constant(), key_heads = k.heads.constant();
  if (query_heads && key_heads && (*key_heads == 0 || *query_heads % *key_heads != 0)) {
    return invalid_file(q.heads.to_string() + " query heads do not divide over " +
                        k.heads.to_string() + " key heads");
  }
  THIMBLE_ASSIGN(const Dim keys, total_length(c, 4, k));
  THIMBLE_ASSIGN(const Dim values, total_length(c, 5, v));
  const Shape y = c.shape(0).size() == 4 ? Shape{batch, q.heads, q.length, v.width}
                                         : Shape{batch, q.length, q.heads * v.width};
  c.give({{c.dtype(0), y, {}},
          {c.dtype(1), {batch, k.heads, keys, k.width}, {}},
          {c.dtype(2), {batch, v.heads, values, v.width}, {}},
          {c.dtype(0), {batch, q.heads, q.length, keys}, {}}});
  return ok();
}

}  // namespace thimble::ir::shapes
