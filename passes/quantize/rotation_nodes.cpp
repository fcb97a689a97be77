#include "passes/quantize/rotation_nodes.h"

#include <cmath>

namespace thimble::passes {
namespace {

constexpr std::int64_t kLargest = 64;  // of a factor that is a power of 2

// Sylvester's, [size, size].
std::vector<float> sylvester(std::int64_t size) {
  std::vector<float> h(static_cast<std::size_t>(size * size));
  for (std::int64_t i = 0; i < size; ++i) {
    for (std::int64_t j = 0; j < size; ++j) {
      const int ones = __builtin_popcountll(static_cast<unsigned long long>(i & j));
      h[static_cast<std::size_t>(i * size + j)] = ones % 2 == 0 ? 1.0f : -1.0f;
    }
  }
  return h;
}

std::vector<float> paley(int order, bool transposed) {
  const std::vector<std::int8_t> h = linalg::hadamard_matrix(order);
  std::vector<float> out(h.size());
  const auto n = static_cast<std::size_t>(order);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) out[i * n + j] = h[transposed ? j * n + i : i * n + j];
  }
  return out;
}

}  // namespace

ir::ValueId RotationNodes::constant(ir::Weight weight) {
  const auto known = constants_.find(weight.name);
  if (known != constants_.end()) return known->second;
  bytes_ += weight.byte_size();
  const std::string name = weight.name;
  const ir::ValueId value = model_.constant(std::move(weight));
  constants_.emplace(name, value);
  return value;
}

ir::ValueId RotationNodes::add(const std::string& op, std::vector<ir::ValueId> inputs,
                               std::vector<ir::Attribute> attributes) {
  ir::Node node{"", op, name_, std::move(inputs), {}, std::move(attributes)};
  const ir::NodeId id =
      model_.graph.insert_before(place_, std::move(node), {name_ + ".rotation." + op});
  return model_.graph.node(id).outputs[0];
}

void RotationNodes::start(ir::ValueId x, ir::NodeId place) {
  const ir::Graph& graph = model_.graph;
  place_ = place;
  name_ = graph.node(graph.value(x).producer).name;
  rank_ = graph.value(x).shape->size();
  transforms_ += 1;
}

// F [size, size] times x seen as [..., left, size, rest].
ir::ValueId RotationNodes::factor(ir::ValueId x, std::int64_t left, std::int64_t size,
                                  std::span<const float> matrix, const std::string& label) {
  std::vector<std::int64_t> dims(rank_ - 1, 0);
  const std::int64_t right = rotation_.width() / left / size;
  dims.insert(dims.end(), {left, size, right});
  const std::string name = "rotation." + std::to_string(rotation_.width());
  const std::vector<std::int64_t> count = {static_cast<std::int64_t>(dims.size())};
  const ir::ValueId shape = constant(ir::make_dense(
      name + ".shape" + std::to_string(count[0]) + "." + std::to_string(left), count, dims));
  const ir::ValueId f = constant(ir::make_dense(name + "." + label, {size, size}, matrix));
  return add("MatMul", {f, add("Reshape", {x, shape})});
}

ir::ValueId RotationNodes::factors(ir::ValueId x, Hadamard form) {
  const bool transposed = form == Hadamard::kTransposed;
  const std::int64_t blocks = rotation_.width() / rotation_.size();
  std::int64_t left = blocks;
  if (rotation_.order() > 1) {
    x = factor(x, left, rotation_.order(), paley(rotation_.order(), transposed),
               transposed ? "paley.transposed" : "paley");
    left *= rotation_.order();
  }
  while (left < rotation_.width()) {
    std::int64_t size = 1;
    while (size < kLargest && left * size < rotation_.width()) size *= 2;
    x = factor(x, left, size, sylvester(size), "sylvester" + std::to_string(size));
    left *= size;
  }
  if (rotation_.size() == 1) return x;
  std::vector<std::int64_t> dims(rank_ - 1, 0);
  dims.push_back(rotation_.width());
  const std::vector<std::int64_t> count = {static_cast<std::int64_t>(rank_)};
  return add("Reshape", {x, constant(ir::make_dense("rotation." + std::to_string(dims.back()) +
                                                        ".shape" + std::to_string(rank_),
                                                    count, dims))});
}

void RotationNodes::after(ir::ValueId x, bool centre) {
  const std::vector<ir::NodeId> readers = model_.graph.users(x);
  start(x, readers.front());
  const std::string name = "rotation." + std::to_string(rotation_.width());
  ir::ValueId y = x;
  if (centre) {
    const std::vector<std::int64_t> last = {-1}, one = {1};
    const ir::ValueId axes = constant(ir::make_dense(name + ".last", one, last));
    y = add("Sub", {x, add("ReduceMean", {x, axes}, {{"keepdims", std::int64_t{1}}})});
  }
  const double scale = 1 / std::sqrt(static_cast<double>(rotation_.size()));
  std::vector<float> signs;
  for (const float sign : rotation_.signs()) signs.push_back(static_cast<float>(sign * scale));
  y = add("Mul", {y, constant(ir::make_dense(name + ".signs", {rotation_.width()}, signs))});
  y = factors(y, Hadamard::kPlain);
  for (const ir::NodeId reader : readers) model_.graph.replace_inputs(reader, x, y);
}

void RotationNodes::before(ir::ValueId x, std::span<const ir::NodeId> readers,
                           std::span<const float> gain, std::span<const float> bias) {
  start(x, readers.front());
  const double scale = 1 / std::sqrt(static_cast<double>(rotation_.size()));
  std::vector<float> scaled;
  for (std::size_t i = 0; i < gain.size(); ++i)
    scaled.push_back(static_cast<float>(rotation_.signs()[i] * scale * gain[i]));
  ir::ValueId y = factors(x, Hadamard::kTransposed);
  y = add("Mul", {y, constant(ir::make_dense(name_ + ".gain", {rotation_.width()}, scaled))});
  if (!bias.empty())
    y = add("Add", {y, constant(ir::make_dense(name_ + ".bias", {rotation_.width()}, bias))});
  for (const ir::NodeId reader : readers) model_.graph.replace_inputs(reader, x, y);
}

}  // namespace thimble::passes
