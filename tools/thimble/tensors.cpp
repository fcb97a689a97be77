#include "tools/thimble/tensors.h"

#include <algorithm>
#include <cstdio>

#include <nlohmann/json.hpp>

#include "data/npz.h"
#include "eval/arrays.h"
#include "report/json.h"
#include "runtime/session.h"

namespace thimble::cli {
namespace {

ir::DimRanges ranges_of(const Opened& opened) {
  if (opened.model) return ir::dim_ranges(opened.model->metadata);
  for (const auto& [key, value] : opened.bundle.metadata) {
    if (key == "model." + std::string(ir::kDimRangesKey))
      return ir::dim_ranges({{std::string(ir::kDimRangesKey), value}});
  }
  return {};
}

// The symbol that a size is, where it is one.
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

Status check_ranges(const program::Program& program, const ir::DimRanges& ranges,
                    const std::vector<runtime::TensorView>& views) {
  std::size_t next = 0;
  for (const std::int32_t index : program.regions[0].inputs) {
    const program::Slot& slot = program.slots[static_cast<std::size_t>(index)];
    if (slot.kind == program::Slot::Kind::kState) continue;
    const std::vector<std::int64_t>& dims = views[next++].dims;
    for (std::size_t d = 0; d < std::min(dims.size(), slot.dims.size()); ++d) {
      const auto symbol = symbol_of(program, slot.dims[d]);
      const auto range = symbol ? ranges.find(*symbol) : ranges.end();
      if (range == ranges.end() || (dims[d] >= range->second.low && dims[d] <= range->second.high))
        continue;
      return invalid_argument("the size '" + *symbol + "' of input '" + slot.name + "' is " +
                              std::to_string(dims[d]) + ", outside of " + ir::to_string({*range}));
    }
  }
  return ok();
}

}  // namespace

Expected<int> run_tensors(const Opened& opened, const std::string& inputs,
                          const std::string& outputs, Environment& environment) {
  const program::Bundle& bundle = opened.bundle;
  THIMBLE_ASSIGN(const std::vector<data::Array> arrays, data::read_npz(inputs));
  const program::Program& program = bundle.program;
  auto views = eval::bind_inputs(program, arrays);
  if (!views) return std::move(views).error().in(inputs);
  if (Status checked = check_ranges(program, ranges_of(opened), *views); !checked)
    return std::move(checked).error().in(inputs);
  THIMBLE_ASSIGN(const auto session, runtime::Session::create(bundle, environment.pool));
  THIMBLE_TRY(session->run(*views));
  const std::vector<std::string> names = eval::output_names(program);
  std::vector<data::Array> results;
  report::Json described = report::Json::array();
  for (std::size_t i = 0; i < session->outputs().size(); ++i) {
    const runtime::TensorView& view = session->outputs()[i];
    if (view.data == nullptr) continue;  // a cache, kept in place
    data::Array array = eval::array_of(names[i], view);
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
