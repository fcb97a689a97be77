#include "tools/thimble/tensors.h"

#include <cstdio>

#include <nlohmann/json.hpp>

#include "data/npz.h"
#include "eval/arrays.h"
#include "report/json.h"
#include "runtime/session.h"

namespace thimble::cli {
Expected<int> run_tensors(const program::Bundle& bundle, const std::string& inputs,
                          const std::string& outputs, Environment& environment) {
  THIMBLE_ASSIGN(const std::vector<data::Array> arrays, data::read_npz(inputs));
  const program::Program& program = bundle.program;
  auto views = eval::bind_inputs(program, arrays);
  if (!views) return std::move(views).error().in(inputs);
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
