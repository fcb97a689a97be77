#include "tools/thimble/metadata.h"

#include <cstdlib>

#include "support/text.h"

namespace thimble::cli {
namespace {

constexpr std::string_view kModel = "model.", kMetric = "metric.";

}  // namespace

program::Metadata metadata_of(const ir::Model& model) {
  program::Metadata metadata = {{"thimble.version", THIMBLE_VERSION},
                                {"source.format", model.source_format},
                                {"source.architecture", model.architecture}};
  for (const auto& [key, value] : model.metadata) metadata.emplace_back(model_key(key), value);
  return metadata;
}

std::string model_key(std::string_view key) { return std::string(kModel).append(key); }
bool is_model_key(std::string_view key) { return key.starts_with(kModel); }
std::string metric_key(std::string_view name) { return std::string(kMetric).append(name); }

void add_metrics(program::Metadata& metadata, const std::vector<eval::Metric>& metrics) {
  for (const eval::Metric& metric : metrics)
    metadata.emplace_back(metric_key(metric.name), format_significant(metric.interval.value, 9));
}

std::vector<eval::Metric> metrics_in(const program::Metadata& metadata) {
  std::vector<eval::Metric> metrics;
  for (const auto& [key, value] : metadata) {
    if (!key.starts_with(kMetric)) continue;
    const double number = std::strtod(value.c_str(), nullptr);
    metrics.push_back({key.substr(kMetric.size()), eval::Interval::exact(number)});
  }
  return metrics;
}

}  // namespace thimble::cli
