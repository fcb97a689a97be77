#include "runtime/ops/boxes.h"

#include <algorithm>
#include <limits>

#include "runtime/ops/selection.h"

namespace thimble::runtime {
namespace {

using program::Type;

struct Box {
  float top, left, bottom, right;
  float area() const { return (bottom - top) * (right - left); }
};

// Corners in any order, or centre and size [x, y, width, height].
Box box_at(const float* from, bool centred) {
  if (centred) {
    const float w = from[2] / 2, h = from[3] / 2;
    return {from[1] - h, from[0] - w, from[1] + h, from[0] + w};
  }
  return {std::min(from[0], from[2]), std::min(from[1], from[3]), std::max(from[0], from[2]),
          std::max(from[1], from[3])};
}

// The intersection of two boxes over their union is more than `limit`.
bool overlap(const Box& a, const Box& b, float limit) {
  const float height = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
  const float width = std::min(a.right, b.right) - std::max(a.left, b.left);
  if (!(height > 0) || !(width > 0)) return false;
  const float both = height * width, together = a.area() + b.area() - both;
  return together > 0 && both / together > limit;
}

template <class T>
T scalar_or(const Call& call, std::size_t input, T fallback) {
  const Value* value = input_at(call, input);
  return value == nullptr || value->count() == 0 ? fallback : data_of<T>(*value)[0];
}

// The boxes of one image that one class keeps, best first.
void suppress(const std::vector<Box>& boxes, const float* scores, float least, float limit,
              std::int64_t most, std::vector<std::int64_t>& kept) {
  std::vector<std::int64_t> order;
  for (std::size_t i = 0; i < boxes.size(); ++i) {
    if (scores[i] > least) order.push_back(static_cast<std::int64_t>(i));
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](std::int64_t a, std::int64_t b) { return scores[a] > scores[b]; });
  kept.clear();
  for (const std::int64_t i : order) {
    if (static_cast<std::int64_t>(kept.size()) >= most) return;
    const bool free = std::none_of(kept.begin(), kept.end(), [&](std::int64_t k) {
      return overlap(boxes[static_cast<std::size_t>(k)], boxes[static_cast<std::size_t>(i)], limit);
    });
    if (free) kept.push_back(i);
  }
}

Status check_boxes(const Call& call) {
  const Value &boxes = *call.inputs[0], &scores = *call.inputs[1];
  THIMBLE_TRY(demand(boxes.type == Type::kF32 && scores.type == Type::kF32 &&
                         boxes.dims.size() == 3 && scores.dims.size() == 3 && boxes.dims[2] == 4 &&
                         boxes.dims[0] == scores.dims[0] && boxes.dims[1] == scores.dims[2],
                     "NonMaxSuppression takes f32 boxes [batch, n, 4] and scores [batch, classes, "
                     "n]"));
  const Value *most = input_at(call, 2), *limit = input_at(call, 3), *least = input_at(call, 4);
  return demand((most == nullptr || most->type == Type::kI64) &&
                    (limit == nullptr || limit->type == Type::kF32) &&
                    (least == nullptr || least->type == Type::kF32) &&
                    call.outputs[0]->type == Type::kI64,
                "NonMaxSuppression's types don't fit");
}

}  // namespace

Status shape_suppression(const Call& call, std::vector<Dims>& results) {
  THIMBLE_TRY(check_boxes(call));
  const Value &boxes = *call.inputs[0], &scores = *call.inputs[1];
  const bool centred = call.instruction.integer("center_point_box", 0) != 0;
  const auto most = scalar_or<std::int64_t>(call, 2, 0);
  const auto limit = scalar_or<float>(call, 3, 0.0f);
  const auto least = scalar_or<float>(call, 4, -std::numeric_limits<float>::infinity());
  const std::int64_t count = boxes.dims[1], classes = scores.dims[1];
  std::vector<Box> image;
  std::vector<std::int64_t> kept;
  call.found.clear();
  for (std::int64_t n = 0; n < boxes.dims[0]; ++n) {
    image.clear();
    for (std::int64_t i = 0; i < count; ++i)
      image.push_back(box_at(boxes.floats() + (n * count + i) * 4, centred));
    for (std::int64_t c = 0; c < classes; ++c) {
      suppress(image, scores.floats() + (n * classes + c) * count, least, limit, most, kept);
      for (const std::int64_t i : kept) call.found.insert(call.found.end(), {n, c, i});
    }
  }
  results[0] = {static_cast<std::int64_t>(call.found.size()) / 3, 3};
  return ok();
}

Status run_suppression(Call& call) {
  std::copy(call.found.begin(), call.found.end(), data_of<std::int64_t>(*call.outputs[0]));
  return ok();
}

}  // namespace thimble::runtime
