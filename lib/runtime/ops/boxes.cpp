#include "runtime/ops/boxes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "runtime/ops/selection.h"

namespace thimble::runtime {
namespace {

using program::Type;

struct Box {
  float top, left, bottom, right, area;
};
Box box_of(float top, float left, float bottom, float right) {
  return {top, left, bottom, right, (bottom - top) * (right - left)};
}

// Corners in any order, or centre and size [x, y, width, height].
Box box_at(const float* from, bool centred) {
  if (centred) {
    const float w = from[2] / 2, h = from[3] / 2;
    return box_of(from[1] - h, from[0] - w, from[1] + h, from[0] + w);
  }
  return box_of(std::min(from[0], from[2]), std::min(from[1], from[3]), std::max(from[0], from[2]),
                std::max(from[1], from[3]));
}

// Boxes, a block of them with each side together.
class BoxList {
 public:
  void add(const Box& box) {
    if (count_ % kLanes == 0) blocks_.emplace_back();
    Block& block = blocks_.back();
    const std::size_t lane = count_++ % kLanes;
    block.top[lane] = box.top;
    block.left[lane] = box.left;
    block.bottom[lane] = box.bottom;
    block.right[lane] = box.right;
    block.area[lane] = box.area;
  }
  bool overlap(const Box& box, float limit) const {
    return std::any_of(blocks_.begin(), blocks_.end(),
                       [&](const Block& block) { return overlap_block(block, box, limit); });
  }

 private:
  static constexpr std::size_t kLanes = 16;
  struct Block {  // lanes of height 0 overlap nothing
    std::array<float, kLanes> top{}, left{}, bottom{}, right{}, area{};
  };

  // The intersection of two boxes over their union is more than `limit`. No branch: compilers make
  // vectors of it.
  static bool overlap_block(const Block& a, const Box& b, float limit) {
    std::int32_t hits = 0;
    for (std::size_t i = 0; i < kLanes; ++i) {
      const float height = std::min(a.bottom[i], b.bottom) - std::max(a.top[i], b.top);
      const float width = std::min(a.right[i], b.right) - std::max(a.left[i], b.left);
      const float both = height * width, together = a.area[i] + b.area - both;
      hits |= static_cast<std::int32_t>(height > 0) & static_cast<std::int32_t>(width > 0) &
              static_cast<std::int32_t>(together > 0) &
              static_cast<std::int32_t>(both / together > limit);
    }
    return hits != 0;
  }

  std::vector<Block> blocks_;
  std::size_t count_ = 0;
};

// The width of an image in equal strips. Boxes that intersect have a strip in common, as a place's
// strip never falls from left to right, whatever is rounded.
class Strips {
 public:
  explicit Strips(const std::vector<Box>& boxes) {
    constexpr std::size_t kBoxesOfStrip = 32, kMost = 256;
    float right = -std::numeric_limits<float>::infinity();
    first_ = -right;
    for (const Box& box : boxes) {
      if (!std::isfinite(box.left) || !std::isfinite(box.right)) continue;
      first_ = std::min(first_, box.left);
      right = std::max(right, box.right);
    }
    const auto wanted =
        static_cast<float>(std::clamp<std::size_t>(boxes.size() / kBoxesOfStrip, 1, kMost));
    const float scale = wanted / (right - first_);
    if (!(scale > 0) || !std::isfinite(scale) || !std::isfinite(first_)) return;
    scale_ = scale;
    last_ = wanted - 1;
  }
  std::size_t count() const { return static_cast<std::size_t>(last_) + 1; }
  std::size_t at(float x) const {
    return last_ == 0 ? 0
                      : static_cast<std::size_t>(std::clamp((x - first_) * scale_, 0.0f, last_));
  }

 private:
  float first_ = 0, scale_ = 0, last_ = 0;
};

// The boxes that are kept so far, by the strips that they touch: a candidate sees those near it.
class KeptBoxes {
 public:
  KeptBoxes(const Strips& strips, float limit)
      : strips_(strips), limit_(limit), near_(strips.count()) {}

  // Keeps a box that none overlaps.
  bool keep(const Box& box) {
    if (std::isnan(box.area)) return true;  // overlaps nothing
    const std::size_t first = strips_.at(box.left), last = strips_.at(box.right);
    if (wide_.overlap(box, limit_)) return false;
    for (std::size_t s = first; s <= last; ++s) {
      if (near_[s].overlap(box, limit_)) return false;
    }
    if (last - first >= kWide && first <= last) {
      wide_.add(box);
    } else {
      for (std::size_t s = first; s <= last; ++s) near_[s].add(box);
    }
    return true;
  }

 private:
  static constexpr std::size_t kWide = 4;  // strips of a box that stands apart instead
  const Strips& strips_;
  float limit_;
  std::vector<BoxList> near_;
  BoxList wide_;
};

template <class T>
T scalar_or(const Call& call, std::size_t input, T fallback) {
  const Value* value = input_at(call, input);
  return value == nullptr || value->count() == 0 ? fallback : data_of<T>(*value)[0];
}

// An image's boxes, and what each of its classes is asked.
struct Image {
  std::vector<Box> boxes;
  Strips strips;
  float least, limit;
  std::int64_t most;
};

// The boxes of one image that one class keeps, best first.
std::vector<std::int64_t> suppress(const Image& image, const float* scores) {
  std::vector<std::int64_t> order, kept;
  for (std::size_t i = 0; i < image.boxes.size(); ++i) {
    if (scores[i] > image.least) order.push_back(static_cast<std::int64_t>(i));
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](std::int64_t a, std::int64_t b) { return scores[a] > scores[b]; });
  KeptBoxes boxes(image.strips, image.limit);
  for (const std::int64_t i : order) {
    if (static_cast<std::int64_t>(kept.size()) >= image.most) break;
    if (boxes.keep(image.boxes[static_cast<std::size_t>(i)])) kept.push_back(i);
  }
  return kept;
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
  std::vector<std::vector<std::int64_t>> kept(static_cast<std::size_t>(classes));
  call.found.clear();
  for (std::int64_t n = 0; n < boxes.dims[0]; ++n) {
    std::vector<Box> all;
    for (std::int64_t i = 0; i < count; ++i)
      all.push_back(box_at(boxes.floats() + (n * count + i) * 4, centred));
    const Strips strips(all);
    const Image image{std::move(all), strips, least, limit, most};
    constexpr std::int64_t kCost = 64;  // of a box
    over_each(call.machine, classes, count * kCost, [&](std::int64_t c) {
      kept[static_cast<std::size_t>(c)] =
          suppress(image, scores.floats() + (n * classes + c) * count);
    });
    for (std::int64_t c = 0; c < classes; ++c) {
      for (const std::int64_t i : kept[static_cast<std::size_t>(c)])
        call.found.insert(call.found.end(), {n, c, i});
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
