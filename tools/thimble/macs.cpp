#include "tools/thimble/macs.h"

#include <unordered_map>

namespace thimble::cli {
namespace {

using program::Op;

using DimsBySlot = std::unordered_map<std::int32_t, std::vector<std::int64_t>>;

class Counter {
 public:
  Counter(const program::Program& program, DimsBySlot dims)
      : program_(program), dims_(std::move(dims)) {}

  std::vector<Macs> count() const {
    std::vector<Macs> out;
    for (const program::Region& region : program_.regions) {
      for (const program::Instruction& instruction : region.instructions) add(out, instruction);
    }
    return out;
  }

 private:
  static bool is_product(Op op) {
    return op == Op::kMatMul || op == Op::kGemm || op == Op::kConv || op == Op::kConvTiles ||
           op == Op::kConvInteger || op == Op::kQLinearConv || op == Op::kMatMulInteger ||
           op == Op::kQLinearMatMul || op == Op::kConvPanels || op == Op::kConvCodes ||
           op == Op::kMultiplyCodes;
  }

  const program::Tensor* tensor_of(std::int32_t slot) const {
    const program::Slot& described = program_.slot(slot);
    return described.kind == program::Slot::Kind::kConstant ? &program_.tensor(described.tensor)
                                                            : nullptr;
  }

  std::vector<std::int64_t> dims_of(std::int32_t slot) const {
    if (const program::Tensor* tensor = tensor_of(slot)) return tensor->dims;
    const auto known = dims_.find(slot);
    return known == dims_.end() ? std::vector<std::int64_t>() : known->second;
  }

  // Products that each result is the sum of.
  double inputs_of(const program::Instruction& instruction, std::int32_t weight) const {
    const program::Tensor* tensor = tensor_of(weight);
    if (tensor != nullptr && tensor->inputs > 0) return static_cast<double>(tensor->inputs);
    const std::vector<std::int64_t> dims = dims_of(weight);
    if (dims.empty()) return 1;
    switch (instruction.op) {
      case Op::kLinear:
        return static_cast<double>(dims.back());
      case Op::kConvCodes: {  // of a depthwise one: [kernel..., channels]
        double taps = 1;
        for (std::size_t d = 0; d + 1 < dims.size(); ++d) taps *= static_cast<double>(dims[d]);
        return taps;
      }
      case Op::kConv:
      case Op::kConvPanels:
      case Op::kConvInteger:
      case Op::kQLinearConv: {
        double taps = 1;
        for (std::size_t d = 1; d < dims.size(); ++d) taps *= static_cast<double>(dims[d]);
        return taps;
      }
      case Op::kGemm:
        return static_cast<double>(instruction.integer("transB", 0) != 0 ? dims.back() : dims[0]);
      default:  // [..., K, N]
        return static_cast<double>(dims.size() > 1 ? dims[dims.size() - 2] : dims[0]);
    }
  }

  std::string type_of(const program::Instruction& instruction, std::int32_t weight) const {
    const Op op = instruction.op;
    if (op == Op::kConvInteger || op == Op::kQLinearConv || op == Op::kMatMulInteger ||
        op == Op::kQLinearMatMul) {
      return "int8";
    }
    if (op == Op::kConvCodes) return "8-bit x int8 static";
    if (op == Op::kMultiplyCodes) return "8-bit x int8";
    const program::Tensor* tensor = tensor_of(weight);
    if (tensor == nullptr) return "f32";
    if (tensor->layout != program::Layout::kTiles)
      return std::string(program::type_name(tensor->type));
    static constexpr const char* kActivations[] = {"f32", "int8", "int16", "int8 static",
                                                   "int8 token"};
    const auto scheme = static_cast<std::size_t>(instruction.integer("activation", 0));
    return std::to_string(tensor->bits) + "-bit x " +
           kActivations[scheme < std::size(kActivations) ? scheme : 0];
  }

  void add(std::vector<Macs>& out, const program::Instruction& instruction) const {
    if (instruction.op == Op::kLinear) {
      for (std::size_t i = 0; i < instruction.outputs.size(); ++i)
        add(out, instruction, instruction.inputs[1 + 2 * i], instruction.outputs[i]);
    } else if (is_product(instruction.op)) {
      const bool scaled =
          instruction.op == Op::kQLinearConv || instruction.op == Op::kQLinearMatMul;
      add(out, instruction, instruction.inputs[scaled ? 3 : 1], instruction.outputs[0]);
    }
  }

  void add(std::vector<Macs>& out, const program::Instruction& instruction, std::int32_t weight,
           std::int32_t output) const {
    if (!dims_.contains(output)) return;  // of a body that didn't run
    double count = inputs_of(instruction, weight);
    for (const std::int64_t dim : dims_of(output)) count *= static_cast<double>(dim);
    const auto slot = static_cast<std::size_t>(output);
    const std::string& name =
        instruction.name.empty() ? program_.slots[slot].name : instruction.name;
    out.push_back({name, std::string(program::find_rule(instruction.op)->name),
                   type_of(instruction, weight), count});
  }

  const program::Program& program_;
  DimsBySlot dims_;
};

}  // namespace

Expected<std::vector<Macs>> macs_of(runtime::Session& session,
                                    std::span<const runtime::TensorView> inputs) {
  DimsBySlot dims;
  session.set_observer(
      [&](std::int32_t slot, const runtime::TensorView& value) { dims[slot] = value.dims; });
  const Status status = session.run(inputs);
  session.set_observer({});
  if (!status) return status.error();
  return Counter(session.bundle().program, std::move(dims)).count();
}

std::map<std::string, double> shares_of(const std::vector<Macs>& macs) {
  double total = 0;
  std::map<std::string, double> shares;
  for (const Macs& one : macs) {
    total += one.count;
    shares[one.type] += one.count;
  }
  for (auto& [type, count] : shares) count = total > 0 ? count / total : 0;
  return shares;
}

}  // namespace thimble::cli
