#include "eval/arrays.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "support/half.h"

namespace thimble::eval {
namespace {

constexpr std::pair<std::string_view, program::Type> kTypes[] = {
    {"<f4", program::Type::kF32},  {"<f8", program::Type::kF64}, {"<f2", program::Type::kF16},
    {"<i8", program::Type::kI64},  {"<i4", program::Type::kI32}, {"<i2", program::Type::kI16},
    {"|i1", program::Type::kI8},   {"<u8", program::Type::kU64}, {"<u4", program::Type::kU32},
    {"<u2", program::Type::kU16},  {"|u1", program::Type::kU8},  {"|b1", program::Type::kBool},
    {"<V2", program::Type::kBF16},  // as numpy.save writes ml_dtypes'
};

std::string descr_of(program::Type type) {
  for (const auto& [descr, known] : kTypes) {
    if (type == known) return std::string(descr);
  }
  return "|u1";
}

bool is_float(program::Type type) {
  return type == program::Type::kF32 || type == program::Type::kF64 ||
         type == program::Type::kF16 || type == program::Type::kBF16;
}

template <class T>
T at(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

double read_float(const std::byte* bytes, program::Type type) {
  if (type == program::Type::kF64) return at<double>(bytes);
  if (type == program::Type::kF32) return at<float>(bytes);
  const auto half = at<std::uint16_t>(bytes);
  return type == program::Type::kF16 ? half_to_float(half) : bfloat_to_float(half);
}

void write_float(double value, program::Type type, std::byte* bytes) {
  const auto single = static_cast<float>(value);
  const std::uint16_t half =
      type == program::Type::kF16 ? float_to_half(single) : float_to_bfloat(single);
  if (type == program::Type::kF64) std::memcpy(bytes, &value, sizeof value);
  if (type == program::Type::kF32) std::memcpy(bytes, &single, sizeof single);
  if (type == program::Type::kF16 || type == program::Type::kBF16)
    std::memcpy(bytes, &half, sizeof half);
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
  if (view.type == program::Type::kBF16) fit_floats(array, program::Type::kF32);
  return array;
}

void fit_floats(data::Array& array, program::Type type) {
  const auto view = view_of(array);
  if (!view || view->type == type || !is_float(view->type) || !is_float(type)) return;
  const auto from = static_cast<std::size_t>(program::type_bytes(view->type));
  const auto to = static_cast<std::size_t>(program::type_bytes(type));
  const std::size_t count = array.bytes.size() / from;
  std::vector<std::byte> bytes(count * to);
  for (std::size_t i = 0; i < count; ++i)
    write_float(read_float(array.bytes.data() + i * from, view->type), type, bytes.data() + i * to);
  array.bytes = std::move(bytes);
  array.descr = descr_of(type);
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

std::vector<const program::Slot*> input_slots(const program::Program& program) {
  std::vector<const program::Slot*> slots;
  for (const std::int32_t index : program.regions[0].inputs) {
    const program::Slot& slot = program.slot(index);
    if (slot.kind == program::Slot::Kind::kInput) slots.push_back(&slot);
  }
  return slots;
}

data::InputSpec spec_of(const program::Slot& slot) {
  const bool half = slot.type == program::Type::kF16 || slot.type == program::Type::kBF16;
  data::InputSpec spec{slot.name, descr_of(half ? program::Type::kF32 : slot.type), {}};
  for (const program::Size& size : slot.dims) spec.dims.push_back(fixed_size(size));
  return spec;
}

std::vector<data::InputSpec> input_specs(const program::Program& program) {
  std::vector<data::InputSpec> specs;
  for (const program::Slot* slot : input_slots(program)) specs.push_back(spec_of(*slot));
  return specs;
}

Expected<std::vector<runtime::TensorView>> bind_inputs(const program::Program& program,
                                                       std::vector<data::Array>& arrays) {
  std::vector<runtime::TensorView> views;
  for (const program::Slot* slot : input_slots(program)) {
    const auto array = std::find_if(arrays.begin(), arrays.end(),
                                    [&](const data::Array& a) { return a.name == slot->name; });
    if (array == arrays.end()) {
      std::string names;
      for (const data::InputSpec& each : input_specs(program))
        names += (names.empty() ? "" : ", ") + each.name;
      return invalid_argument("no array '" + slot->name + "'; the model takes " + names);
    }
    fit_floats(*array, slot->type);
    THIMBLE_ASSIGN(runtime::TensorView view, view_of(*array));
    views.push_back(std::move(view));
  }
  return views;
}

std::vector<std::string> output_names(const program::Program& program) {
  std::vector<std::string> names;
  for (const std::int32_t index : program.regions[0].outputs)
    names.push_back(program.slot(index).name);
  return names;
}

}  // namespace thimble::eval
