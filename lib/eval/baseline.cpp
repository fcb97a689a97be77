#include "eval/baseline.h"

#include <cmath>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "support/atomic_file.h"
#include "support/mapped_file.h"
#include "support/text.h"
#include "text/json.h"

namespace thimble::eval {
namespace {

using Json = nlohmann::ordered_json;  // metrics stay in the file's order

constexpr std::uint64_t kMaxBytes = 1 << 20;
constexpr int kSchema = 1;

Expected<Json> read_json(const std::string& path) {
  THIMBLE_ASSIGN(const auto file, MappedFile::open(path));
  if (file->size() > kMaxBytes) return invalid_file("a baseline has at most 1 MB").in(path);
  THIMBLE_TRY(text::check_json_depth(file->text(), path));
  Json json = Json::parse(file->text(), nullptr, false);
  const bool right = json.is_object() && json.contains("metrics") && json["metrics"].is_object();
  if (!right) return invalid_file("not a baseline").in(path).fix("make one with --update-baseline");
  const Json schema = json.value("schema", Json(kSchema));
  if (schema != Json(kSchema))
    return unsupported("a baseline of schema " + schema.dump() + " is not read")
        .in(path)
        .fix("move it away, and make one with --update-baseline");
  return json;
}

double number_or(const Json& object, const char* key, double fallback) {
  return object.is_object() && object.contains(key) && object[key].is_number()
             ? object[key].get<double>()
             : fallback;
}

}  // namespace

Expected<std::vector<Gate>> read_baseline(const std::string& path) {
  if (!std::filesystem::exists(path))
    return not_found("no such baseline").in(path).fix("make one with --update-baseline");
  THIMBLE_ASSIGN(const Json json, read_json(path));
  std::vector<Gate> gates;
  for (const auto& [name, entry] : json["metrics"].items()) {
    if (!entry.is_object() || !entry.contains("value") || !entry["value"].is_number()) {
      return invalid_file("metric '" + name + "' has no value").in(path);
    }
    const double value = entry["value"].get<double>();
    const MetricInfo info = metric_info(name);
    const double tolerance = number_or(entry, "tolerance", info.tolerance);
    const double limit = value * (info.larger_is_better ? 1 - tolerance : 1 + tolerance);
    const std::string text =
        name + (info.larger_is_better ? " >= " : " <= ") +
        (info.unit == MetricUnit::kBytes ? std::to_string(std::llround(limit)) + " B"
                                         : format_significant(limit, 6));
    THIMBLE_ASSIGN(Gate gate, parse_gate(text, {.file = path}));
    gate.limit = limit;  // the text rounds it
    gate.by_value = true;
    gates.push_back(std::move(gate));
  }
  return gates;
}

Status write_baseline(const std::string& path, const std::vector<Metric>& metrics) {
  Json known = Json::object();
  if (std::filesystem::exists(path)) {
    THIMBLE_ASSIGN(const Json old, read_json(path));
    known = old["metrics"];
  }
  Json entries = Json::object();
  for (const Metric& metric : metrics) {
    const double fallback = metric_info(metric.name).tolerance;
    const double tolerance = known.contains(metric.name)
                                 ? number_or(known[metric.name], "tolerance", fallback)
                                 : fallback;
    entries[metric.name] = {{"value", metric.interval.value}, {"tolerance", tolerance}};
  }
  const Json out = {{"schema", kSchema}, {"metrics", entries}};
  return write_file(path, out.dump(2) + "\n");
}

}  // namespace thimble::eval
