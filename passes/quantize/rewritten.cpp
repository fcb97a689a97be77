#include "passes/quantize/rewritten.h"

#include <algorithm>

#include "quant/clip.h"
#include "quant/decode.h"

namespace thimble::passes {
namespace {

bool is_matrix_or_vector(const ir::Weight& weight) {
  const std::size_t rank = weight.dims.size();
  if (rank <= 2) return rank > 0;
  return std::all_of(weight.dims.begin(), weight.dims.end() - 1,
                     [](std::int64_t dim) { return dim == 1; });
}

class ScaledRows : public ComputedRows {
 public:
  ScaledRows(ir::Weight from, bool by_row, std::vector<double> factors)
      : ComputedRows(std::move(from)), by_row_(by_row), factors_(std::move(factors)) {}
  std::string describe() const override { return from().source->describe() + ", scaled"; }

 protected:
  Expected<std::vector<float>> compute(std::int64_t begin, std::int64_t end) const override {
    THIMBLE_ASSIGN(std::vector<float> values, quant::decode_rows(from(), begin, end));
    const auto width = static_cast<std::size_t>(from().inputs());
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::size_t at = by_row_ ? static_cast<std::size_t>(begin) + i / width : i % width;
      values[i] = static_cast<float>(values[i] * factors_[at]);
    }
    return values;
  }

 private:
  bool by_row_;
  std::vector<double> factors_;
};

class CutRows : public ComputedRows {
 public:
  CutRows(ir::Weight from, bool by_row, const ir::Encoding& encoding, std::vector<float> limits)
      : ComputedRows(std::move(from)),
        by_row_(by_row),
        encoding_(encoding),
        limits_(std::move(limits)) {}
  std::string describe() const override { return from().source->describe() + ", cut"; }

 protected:
  Expected<std::vector<float>> compute(std::int64_t begin, std::int64_t end) const override {
    THIMBLE_ASSIGN(std::vector<float> values, quant::decode_rows(from(), begin, end));
    const std::int64_t width = from().inputs();
    if (by_row_) {  // inputs lie along the columns
      const std::int64_t groups = encoding_.groups(width);
      const auto limits =
          std::span(limits_).subspan(static_cast<std::size_t>(begin * groups),
                                     static_cast<std::size_t>((end - begin) * groups));
      quant::cut_rows(values, limits, width, encoding_);
      return values;
    }
    const std::int64_t inputs = from().dims[0], groups = encoding_.groups(inputs);
    const std::int64_t size = encoding_.group_width(inputs);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::int64_t input = begin + static_cast<std::int64_t>(i) / width;
      const std::int64_t row = static_cast<std::int64_t>(i) % width;
      const float limit = limits_[static_cast<std::size_t>(row * groups + input / size)];
      values[i] = std::clamp(values[i], -limit, limit);
    }
    return values;
  }

 private:
  bool by_row_;
  ir::Encoding encoding_;
  std::vector<float> limits_;
};

class RotatedRows : public ComputedRows {
 public:
  RotatedRows(ir::Weight from, Rotated rotated)
      : ComputedRows(std::move(from)), rotated_(std::move(rotated)) {}
  std::string describe() const override { return from().source->describe() + ", rotated"; }

 protected:
  Expected<std::vector<float>> compute(std::int64_t begin, std::int64_t end) const override {
    THIMBLE_ASSIGN(std::vector<float> values, quant::decode_rows(from(), begin, end));
    const bool across = rotated_.axis == 0 && from().dims.size() == 2;
    if (!across) {
      const auto width = static_cast<std::size_t>(from().inputs());
      for (std::size_t row = 0; row < values.size(); row += width)
        turn_row(std::span(values).subspan(row, width));
      return values;
    }
    const std::int64_t run = rotated_.rotation->width();
    for (std::int64_t i = 0; i < rotated_.repeats; ++i) {
      const std::int64_t first = rotated_.offset + i * run;
      if (first < end && begin < first + run) THIMBLE_TRY(turn_columns(first, begin, end, values));
    }
    return values;
  }

 private:
  void turn(std::span<float> runs) const {
    const auto run = static_cast<std::size_t>(rotated_.rotation->width());
    for (std::size_t at = 0; rotated_.centre && at < runs.size(); at += run) {
      double sum = 0;
      for (std::size_t i = 0; i < run; ++i) sum += runs[at + i];
      const double mean = sum / static_cast<double>(run);
      for (std::size_t i = 0; i < run; ++i) runs[at + i] = static_cast<float>(runs[at + i] - mean);
    }
    ThreadPool here(1);
    rotated_.rotation->apply(runs, here);
  }

  void turn_row(std::span<float> row) const {
    turn(row.subspan(static_cast<std::size_t>(rotated_.offset),
                     static_cast<std::size_t>(rotated_.repeats * rotated_.rotation->width())));
  }

  // Of the run of rows that starts at `first`, those in [begin, end), a panel of columns at a time.
  Status turn_columns(std::int64_t first, std::int64_t begin, std::int64_t end,
                      std::vector<float>& out) const {
    constexpr std::size_t kPanel = 32;
    const auto run = static_cast<std::size_t>(rotated_.rotation->width());
    const auto width = static_cast<std::size_t>(from().inputs());
    THIMBLE_ASSIGN(const std::vector<float> rows,
                   quant::decode_rows(from(), first, first + static_cast<std::int64_t>(run)));
    std::vector<float> panel;
    for (std::size_t column = 0; column < width; column += kPanel) {
      const std::size_t count = std::min(kPanel, width - column);
      panel.resize(count * run);
      for (std::size_t r = 0; r < run; ++r) {
        for (std::size_t c = 0; c < count; ++c) panel[c * run + r] = rows[r * width + column + c];
      }
      turn(panel);
      for (std::int64_t row = std::max(first, begin);
           row < std::min(first + static_cast<std::int64_t>(run), end); ++row) {
        float* to = out.data() + static_cast<std::size_t>(row - begin) * width + column;
        for (std::size_t c = 0; c < count; ++c)
          to[c] = panel[c * run + static_cast<std::size_t>(row - first)];
      }
    }
    return ok();
  }

  Rotated rotated_;
};

}  // namespace

bool is_rewritable(const ir::Weight& weight) {
  const bool type = weight.dtype == ir::DType::kF32 || weight.dtype == ir::DType::kF16 ||
                    weight.dtype == ir::DType::kBF16;
  return weight.encoding.is_dense() && type && is_matrix_or_vector(weight);
}

void scale_weight(ir::Weight& weight, int axis, std::vector<double> factors) {
  THIMBLE_CHECK(is_rewritable(weight) && std::ssize(factors) == weight.dims[axis],
                "factors fit the weight '" + weight.name + "'");
  const bool by_row = axis == 0 && weight.dims.size() == 2;
  if (weight.source != nullptr)
    weight.source = std::make_shared<ScaledRows>(weight, by_row, std::move(factors));
  weight.dtype = ir::DType::kF32;
}

void cut_weight(ir::Weight& weight, int axis, const ir::Encoding& encoding,
                std::vector<float> limits) {
  const std::int64_t inputs = weight.dims[static_cast<std::size_t>(axis)];
  THIMBLE_CHECK(is_rewritable(weight) &&
                    std::ssize(limits) * inputs == weight.element_count() * encoding.groups(inputs),
                "limits fit the weight '" + weight.name + "'");
  const bool by_row = axis != 0 || weight.dims.size() == 1;
  if (weight.source != nullptr)
    weight.source = std::make_shared<CutRows>(weight, by_row, encoding, std::move(limits));
  weight.dtype = ir::DType::kF32;
}

void rotate_weight(ir::Weight& weight, const Rotated& rotated) {
  THIMBLE_CHECK(
      is_rewritable(weight) && rotated.offset + rotated.repeats * rotated.rotation->width() <=
                                   weight.dims[static_cast<std::size_t>(rotated.axis)],
      "the rotation fits the weight '" + weight.name + "'");
  if (weight.source != nullptr) weight.source = std::make_shared<RotatedRows>(weight, rotated);
  weight.dtype = ir::DType::kF32;
}

Expected<ir::Rows> ComputedRows::read(std::int64_t begin, std::int64_t end) const {
  THIMBLE_ASSIGN(std::vector<float> values, compute(begin, end));
  return ir::dense_rows(end - begin, std::move(values));
}

void set_values(ir::Weight& weight, std::span<const float> values) {
  ir::Weight made = ir::make_dense(weight.name, weight.dims, values);
  made.source_parameters = weight.source_parameters;
  weight = std::move(made);
}

void add_after(ir::Model& model, ir::ValueId value, ir::ValueId term,
               const std::string& node_name) {
  ir::Graph& graph = model.graph;
  const std::string name = graph.value(value).name;
  const std::vector<ir::NodeId> order = graph.order();
  // `term` may be computed by nodes that stand after the value's own.
  std::size_t place = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (order[i] == graph.value(value).producer || order[i] == graph.value(term).producer)
      place = i + 1;
  }
  ir::Node add{"", "Add", node_name, {value, term}, {}, {}};
  const ir::NodeId id = place == order.size()
                            ? graph.add_node(std::move(add), {name})
                            : graph.insert_before(order[place], std::move(add), {name});
  const ir::ValueId sum = graph.node(id).outputs[0];
  ir::replace_uses(model, graph, value, sum);
  graph.set_input(id, 0, value);
  ir::rename(model, graph, value, name + ".product");
  ir::rename(model, graph, sum, name);
  graph.value(sum).dtype = graph.value(value).dtype;
  graph.value(sum).shape = graph.value(value).shape;
}

ir::WeightId own_constant(ir::Model& model, ir::NodeId node, std::size_t input) {
  ir::Graph& graph = model.graph;
  const ir::ValueId value = graph.node(node).inputs[input];
  const ir::WeightId id = graph.value(value).weight;
  const auto& inputs = graph.node(node).inputs;
  const bool alone = graph.users(value).size() == 1 && !graph.is_output(value) &&
                     std::count(inputs.begin(), inputs.end(), value) == 1 &&
                     !ir::is_captured(model, graph, value);
  if (alone) return id;
  ir::Weight copy = model.weight(id);
  copy.name += ".node" + std::to_string(node.index);
  copy.source_parameters = 0;
  const ir::ValueId own = model.constant(std::move(copy));
  graph.set_input(node, input, own);
  return graph.value(own).weight;
}

}  // namespace thimble::passes
