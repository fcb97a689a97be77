#include "tools/thimble/tensors.h"

#include <cstdio>
#include <cstring>

#include <nlohmann/json.hpp>

#include "data/npz.h"
#include "report/json.h"
#include "runtime/session.h"

namespace thimble::cli {
namespace {

constexpr std::pair<std::string_view, program::Type> kTypes[] = {
    {"<f4", program::Type::kF32}, {"<f8", program::Type::kF64},  {"<f2", program::Type::kF16},
    {"<i8", program::Type::kI64}, {"<i4", program::Type::kI32},  {"|i1", program::Type::kI8},
    {"|u1", program::Type::kU8},  {"|b1", program::Type::kBool},
};

Expected<program::Type> type_of(const data::Array& array) {
  for (const auto& [descr, type] : kTypes) {
    if (array.descr == descr) return type;
  }
  return unsupported("arrays of type " + array.descr + " are not taken").at_tensor(array.name);
}

std::string descr_of(program::Type type) {
  for (const auto& [descr, known] : kTypes) {
    if (type == known) return std::string(descr);
  }
  return "|u1";
}

std::string input_names(const program::Program& program) {
  std::string names;
  for (const std::int32_t slot : program.regions[0].inputs) {
    const program::Slot& input = program.slots[static_cast<std::size_t>(slot)];
    if (input.kind == program::Slot::Kind::kInput)
      names += (names.empty() ? "" : ", ") + input.name;
  }
  return names;
}

}  // namespace

Expected<int> run_tensors(const program::Bundle& bundle, const std::string& inputs,
                          const std::string& outputs, Environment& environment) {
  THIMBLE_ASSIGN(const std::vector<data::Array> arrays, data::read_npz(inputs));
  const program::Program& program = bundle.program;
  std::vector<runtime::TensorView> views;
  for (const std::int32_t slot : program.regions[0].inputs) {
    const program::Slot& input = program.slots[static_cast<std::size_t>(slot)];
    if (input.kind != program::Slot::Kind::kInput) continue;
    const data::Array* array = data::find(arrays, input.name);
    if (array == nullptr) {
      return invalid_argument("no array '" + input.name + "'; the model takes " +
                              input_names(program))
          .in(inputs);
    }
    THIMBLE_ASSIGN(const program::Type type, type_of(*array));
    views.push_back({type, array->dims, array->bytes.data()});
  }
  THIMBLE_ASSIGN(const auto session, runtime::Session::create(bundle, environment.pool));
  THIMBLE_TRY(session->run(views));
  std::vector<data::Array> results;
  report::Json described = report::Json::array();
  for (std::size_t i = 0; i < session->outputs().size(); ++i) {
    const runtime::TensorView& view = session->outputs()[i];
    data::Array array;
    array.name = program.slots[static_cast<std::size_t>(program.regions[0].outputs[i])].name;
    array.descr = descr_of(view.type);
    array.dims = view.dims;
    if (view.data == nullptr) continue;  // a cache, kept in place
    const auto* bytes = static_cast<const std::byte*>(view.data);
    array.bytes.assign(bytes, bytes + view.count() * program::type_bytes(view.type));
    described.push_back(
        {{"name", array.name}, {"type", program::type_name(view.type)}, {"dims", array.dims}});
    results.push_back(std::move(array));
  }
  if (!outputs.empty()) THIMBLE_TRY(data::write_npz(outputs, results));
  if (environment.globals.json) {
    report::Json out = report::document("run");
    out["outputs"] = std::move(described);
    std::printf("%s\n", out.dump(2).c_str());
  } else {
    for (const auto& item : described) {
      std::printf("%s: %s%s\n", item["name"].get<std::string>().c_str(),
                  item["type"].get<std::string>().c_str(), item["dims"].dump().c_str());
    }
  }
  return 0;
}

}  // namespace thimble::cli
