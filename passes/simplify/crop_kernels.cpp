// crop-kernels: taps at the rim of a convolution's kernel that see nothing but padding at every
// place, as dilated ones do whose steps are longer than the image, go.

#include <algorithm>

#include "passes/registrations.h"
#include "passes/simplify/rewrite.h"

namespace thimble::passes {
namespace {

using Numbers = std::vector<std::int64_t>;

// One spatial axis of a convolution, and which of its taps stay.
struct Axis {
  std::int64_t image, kernel, stride, dilation, before, after;
  std::int64_t first = 0;

  // Of the last place's window, relative to the image.
  std::int64_t last_start() const {
    const std::int64_t room = image + before + after - (kernel - 1) * dilation - 1;
    return room / stride * stride - before;
  }
  bool known() const {
    constexpr std::int64_t kMost = 1 << 30;
    return std::min({kernel, stride, dilation}) > 0 && std::min({image, before, after}) >= 0 &&
           std::max({image, kernel, stride, dilation, before, after}) < kMost &&
           (kernel - 1) * dilation < image + before + after;
  }
  // Padding is cut off with a tap, as far as there is some.
  void crop() {
    while (kernel > 1 && before >= dilation && last_start() < 0) {
      before -= dilation;
      ++first;
      --kernel;
    }
    while (kernel > 1 && after >= dilation && (kernel - 1) * dilation - before >= image) {
      after -= dilation;
      --kernel;
    }
  }
};

// The rows of a weight [outputs, channels, kernel...] without some of their taps.
class CroppedRows : public ir::WeightSource {
 public:
  CroppedRows(const ir::Weight& from, std::vector<Axis> axes)
      : from_(from.source),
        dims_(from.dims.begin() + 2, from.dims.end()),
        channels_(from.dims[1]),
        axes_(std::move(axes)),
        element_(static_cast<std::size_t>(ir::dtype_bits(from.dtype)) / 8) {}

  Expected<ir::Rows> read(std::int64_t begin, std::int64_t end) const override {
    THIMBLE_ASSIGN(const ir::Rows rows, from_->read(begin, end));
    std::int64_t window = 1;
    for (const std::int64_t dim : dims_) window *= dim;
    const std::int64_t windows = (end - begin) * channels_;
    if (rows.dense.size() < static_cast<std::size_t>(windows * window) * element_)
      return invalid_file("a weight's data ends early");
    std::vector<std::byte> kept;
    for (std::int64_t i = 0; i < windows; ++i) append(rows.dense, i * window, 0, kept);
    return ir::dense_rows(end - begin, std::move(kept));
  }
  void release(std::int64_t begin, std::int64_t end) const override { from_->release(begin, end); }
  std::string describe() const override { return from_->describe() + ", cropped"; }

 private:
  // The taps of a window, or of a part of it from axis `d` on, that begins at element `at`.
  void append(std::span<const std::byte> taps, std::int64_t at, std::size_t d,
              std::vector<std::byte>& kept) const {
    std::int64_t step = 1;
    for (std::size_t i = d + 1; i < dims_.size(); ++i) step *= dims_[i];
    const Axis& axis = axes_[d];
    if (d + 1 < dims_.size()) {
      for (std::int64_t k = 0; k < axis.kernel; ++k)
        append(taps, at + (axis.first + k) * step, d + 1, kept);
      return;
    }
    const auto part = taps.subspan(static_cast<std::size_t>(at + axis.first) * element_,
                                   static_cast<std::size_t>(axis.kernel) * element_);
    kept.insert(kept.end(), part.begin(), part.end());
  }

  std::shared_ptr<const ir::WeightSource> from_;
  Numbers dims_;
  std::int64_t channels_;
  std::vector<Axis> axes_;
  std::size_t element_;
};

// The axes of a convolution whose sizes are known; none where they aren't.
std::vector<Axis> axes_of(const ir::Graph& graph, const ir::Node& node, const ir::Weight& weight) {
  const auto& image = graph.value(node.inputs[0]).shape;
  const std::size_t rank = weight.dims.size() - std::min<std::size_t>(weight.dims.size(), 2);
  const Numbers pads = node.integers("pads"), strides = node.integers("strides"),
                dilations = node.integers("dilations");
  const auto fits = [&](const Numbers& given, std::size_t count) {
    return given.empty() || given.size() == count;
  };
  if (!image || rank == 0 || image->size() != rank + 2 || pads.size() != 2 * rank ||
      !fits(strides, rank) || !fits(dilations, rank) || node.text("auto_pad", "NOTSET") != "NOTSET")
    return {};
  std::vector<Axis> axes;
  for (std::size_t i = 0; i < rank; ++i) {
    const auto size = (*image)[i + 2].constant();
    const Axis axis{size.value_or(-1),
                    weight.dims[i + 2],
                    strides.empty() ? 1 : strides[i],
                    dilations.empty() ? 1 : dilations[i],
                    pads[i],
                    pads[rank + i]};
    if (!axis.known()) return {};
    axes.push_back(axis);
  }
  return axes;
}

// Is the weight, as this constant, one node's alone?
bool has_one_user(const ir::Model& model, const ir::Graph& graph, ir::ValueId value,
                  ir::NodeId node) {
  const auto uses = [&](const ir::Graph& one) {
    const std::vector<ir::ValueId> constants = one.constants();
    return std::count_if(constants.begin(), constants.end(), [&](ir::ValueId id) {
      return one.value(id).weight == graph.value(value).weight;
    });
  };
  auto count = uses(model.graph);
  for (const ir::Graph& body : model.graphs) count += uses(body);
  return count == 1 && only_read_by(model, graph, value, node);
}

void crop(ir::Model& model, ir::Graph& graph, ir::NodeId id, const std::vector<Axis>& axes) {
  const ir::ValueId value = graph.node(id).inputs[1];
  ir::Weight& weight = model.weight(graph.value(value).weight);
  weight.source = std::make_shared<CroppedRows>(weight, axes);
  Numbers kernel, pads(2 * axes.size());
  for (std::size_t i = 0; i < axes.size(); ++i) {
    kernel.push_back(axes[i].kernel);
    pads[i] = axes[i].before;
    pads[axes.size() + i] = axes[i].after;
  }
  std::copy(kernel.begin(), kernel.end(), weight.dims.begin() + 2);
  graph.value(value).shape = ir::Shape(weight.dims.begin(), weight.dims.end());
  graph.edit(id, [&](ir::Node& node) {
    std::erase_if(node.attributes, [](const ir::Attribute& attribute) {
      return attribute.name == "pads" || attribute.name == "kernel_shape";
    });
    node.attributes.push_back({"kernel_shape", std::move(kernel)});
    node.attributes.push_back({"pads", std::move(pads)});
    std::sort(node.attributes.begin(), node.attributes.end(),
              [](const ir::Attribute& a, const ir::Attribute& b) { return a.name < b.name; });
  });
}

Expected<std::int64_t> crop_all(ir::Model& model, ir::Graph& graph) {
  std::int64_t cropped = 0;
  for (const ir::NodeId id : graph.order()) {
    const ir::Node node = graph.node(id);
    if (!node.is("Conv") || !graph.value(node.inputs[1]).weight.valid()) continue;
    const ir::Weight& weight = model.weight(graph.value(node.inputs[1]).weight);
    const bool plain = weight.encoding.is_dense() && weight.source != nullptr;
    if (!plain || ir::dtype_bits(weight.dtype) < 8) continue;
    std::vector<Axis> axes = axes_of(graph, node, weight);
    bool any = false;
    for (Axis& axis : axes) {
      const std::int64_t kernel = axis.kernel;
      axis.crop();
      any = any || axis.kernel < kernel;
    }
    if (!any || !has_one_user(model, graph, node.inputs[1], id)) continue;
    crop(model, graph, id, axes);
    ++cropped;
  }
  return cropped;
}

}  // namespace

pass::Registration crop_kernels() {
  return rewrite("crop-kernels", "Drop taps of a convolution that see nothing but padding",
                 crop_all);
}

}  // namespace thimble::passes
