#include "eval/arrays.h"

#include <string_view>

namespace thimble::eval {
namespace {

constexpr std::pair<std::string_view, program::Type> kTypes[] = {
    {"<f4", program::Type::kF32}, {"<f8", program::Type::kF64}, {"<f2", program::Type::kF16},
    {"<i8", program::Type::kI64}, {"<i4", program::Type::kI32}, {"<i2", program::Type::kI16},
    {"|i1", program::Type::kI8},  {"<u8", program::Type::kU64}, {"<u4", program::Type::kU32},
    {"<u2", program::Type::kU16}, {"|u1", program::Type::kU8},  {"|b1", program::Type::kBool},
};

std::string descr_of(program::Type type) {
  for (const auto& [descr, known] : kTypes) {
    if (type == known) return std::string(descr);
  }
  return "|u1";
}

const program::Slot& slot_at(const program::Program& program, std::int32_t index) {
  return program.slots[static_cast<std::size_t>(index)];
}

}  // namespace

Expected<runtime::TensorView> view_of(const data::Array& array) {
  for (const auto& [descr, type] : kTypes) {
    if (array.descr == descr) return runtime::TensorView{type, array.dims, array.bytes.data()};
  }
  return unsupported("arrays of type " + array.descr + " are not taken").at_tensor(array.name);
}

data::Array array_of(std::string name, const runtime::TensorView& view) {
  data::Array array{std::move(name), descr_of(view.type), view.dims, {}};
  const auto* bytes = static_cast<const std::byte*>(view.data);
  array.bytes.assign(bytes, bytes + view.count() * program::type_bytes(view.type));
  return array;
}

std::int64_t fixed_size(const program::Size& size) {
  const bool constant = size.size() == 1 && size[0].op == program::SizeStep::Op::kConstant;
  return constant ? size[0].value : -1;
}

std::optional<std::string> symbol_of(const program::Program& program, const program::Size& size) {
  const program::SizeStep* found = nullptr;
  for (const program::SizeStep& step : size) {
    if (step.op == program::SizeStep::Op::kSymbol && found == nullptr) {
      found = &step;
    } else if (step.op == program::SizeStep::Op::kConstant
                   ? step.value != 1
                   : step.op != program::SizeStep::Op::kMultiply) {
      return std::nullopt;
    }
  }
  if (found == nullptr) return std::nullopt;
  return program.symbols[static_cast<std::size_t>(found->value)];
}

std::vector<data::InputSpec> input_specs(const program::Program& program) {
  std::vector<data::InputSpec> specs;
  for (const std::int32_t index : program.regions[0].inputs) {
    const program::Slot& slot = slot_at(program, index);
    if (slot.kind != program::Slot::Kind::kInput) continue;
    data::InputSpec spec{slot.name, descr_of(slot.type), {}};
    for (const program::Size& size : slot.dims) spec.dims.push_back(fixed_size(size));
    specs.push_back(std::move(spec));
  }
  return specs;
}

Expected<std::vector<runtime::TensorView>> bind_inputs(const program::Program& program,
                                                       const std::vector<data::Array>& arrays) {
  std::vector<runtime::TensorView> views;
  const std::vector<data::InputSpec> specs = input_specs(program);
  for (const data::InputSpec& spec : specs) {
    const data::Array* array = data::find(arrays, spec.name);
    if (array == nullptr) {
      std::string names;
      for (const data::InputSpec& each : specs) names += (names.empty() ? "" : ", ") + each.name;
      return invalid_argument("no array '" + spec.name + "'; the model takes " + names);
    }
    THIMBLE_ASSIGN(runtime::TensorView view, view_of(*array));
    views.push_back(std::move(view));
  }
  return views;
}

std::vector<std::string> output_names(const program::Program& program) {
  std::vector<std::string> names;
  for (const std::int32_t index : program.regions[0].outputs)
    names.push_back(slot_at(program, index).name);
  return names;
}

}  // namespace thimble::eval
