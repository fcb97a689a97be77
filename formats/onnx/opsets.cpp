#include "formats/onnx/opsets.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string_view>

#include "ir/label.h"

namespace thimble::formats::onnx {
namespace {

constexpr int kMany = std::numeric_limits<int>::max();

struct Row {
  std::string_view op;
  int version;
  int min_inputs, max_inputs, max_outputs;
  std::uint32_t types;     // bit n: ir::DType n
  std::string_view lacks;  // attributes, separated by blanks
};

constexpr Row kRows[] = {
#include "formats/onnx/opsets.inc"
};

// Operators whose form stayed while their meaning, or a default, changed: from here on they mean
// what ours mean (formats/onnx/upgrade.h).
struct Floor {
  std::string_view op;
  int version;
};
constexpr std::array kFloors = {
    Floor{"Softmax", 13}, Floor{"LogSoftmax", 13}, Floor{"Hardmax", 13},
    Floor{"Resize", 13},  Floor{"RoiAlign", 16},   Floor{"GridSample", 20},
    Floor{"DFT", 20},     Floor{"Gather", 11},     Floor{"GroupNormalization", 21},
    Floor{"Scatter", 11}, Floor{"Squeeze", 13},    Floor{"BatchNormalization", 9},
    Floor{"TopK", 11},    Floor{"Dropout", 13},    Floor{"ScatterElements", 11},
    Floor{"CumSum", 11},  Floor{"Scan", 11},       Floor{"GatherElements", 11},
    Floor{"Upsample", 9},
};

bool lacks(const Row& row, std::string_view attribute) {
  std::string_view left = row.lacks;
  while (!left.empty()) {
    const std::size_t end = std::min(left.find(' '), left.size());
    if (left.substr(0, end) == attribute) return true;
    left.remove_prefix(std::min(end + 1, left.size()));
  }
  return false;
}

bool has_type(const Row& row, const ir::Graph& graph, ir::ValueId id) {
  if (!id.valid()) return true;
  const auto type = static_cast<unsigned>(graph.value(id).dtype);
  return type == 0 || (row.types >> type & 1u) != 0;
}

bool takes(const Row& row, const ir::Graph& graph, const ir::Node& node) {
  const auto inputs = node.inputs.size();
  if (inputs < static_cast<std::size_t>(row.min_inputs) ||
      inputs > static_cast<std::size_t>(row.max_inputs) ||
      node.outputs.size() > static_cast<std::size_t>(row.max_outputs)) {
    return false;
  }
  const auto fits = [&](ir::ValueId id) { return has_type(row, graph, id); };
  return std::none_of(node.attributes.begin(), node.attributes.end(),
                      [&](const ir::Attribute& a) { return lacks(row, a.name); }) &&
         std::all_of(node.inputs.begin(), node.inputs.end(), fits) &&
         std::all_of(node.outputs.begin(), node.outputs.end(), fits);
}

std::int64_t floor_of(const ir::Node& node) {
  std::int64_t floor = node.integer("axis", 0) < 0 ? 11 : 7;  // axes from the end
  for (const Floor& row : kFloors) {
    if (row.op == node.op) floor = std::max<std::int64_t>(floor, row.version);
  }
  return floor;
}

}  // namespace

Status Versions::add(const ir::Graph& graph, const ir::Node& node) {
  const Row* found = nullptr;
  for (const Row& row : kRows) {
    if (row.op != node.op) continue;
    found = &row;
    if (takes(row, graph, node)) break;
  }
  if (found == nullptr) {
    return ir::about_node(unsupported("operator " + node.op + " is in no opset of ONNX"), graph,
                          node);
  }
  opset_ = std::max({opset_, floor_of(node), static_cast<std::int64_t>(found->version)});
  for (const auto* list : {&node.inputs, &node.outputs}) {
    for (const ir::ValueId id : *list) {
      if (id.valid()) add_type(graph.value(id).dtype);
    }
  }
  return ok();
}

void Versions::add_type(ir::DType type) {
  std::int64_t least = 4;
  if (type >= ir::DType::kF8E4M3FN) least = 9;
  if (type >= ir::DType::kU4) least = 10;
  if (type >= ir::DType::kF4E2M1) least = 11;
  if (type >= ir::DType::kF8E8M0) least = 12;
  if (type >= ir::DType::kU2) least = 13;
  least_ir_ = std::max(least_ir_, least);
}

// Which IR version the release of an opset came with.
std::int64_t Versions::ir_version() const {
  constexpr std::array<std::int64_t, 28> kOfOpset = {
      0, 3, 3, 3, 3, 3, 3, 3, 3, 4, 5, 6, 7, 7, 7, 8, 8, 8, 8, 9, 9, 10, 10, 11, 12, 13, 13, 13};
  return std::max(least_ir_, kOfOpset[static_cast<std::size_t>(opset_)]);
}

}  // namespace thimble::formats::onnx
