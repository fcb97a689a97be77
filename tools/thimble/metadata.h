#pragma once
// What a .thimble says of itself beside its program: keys that commands write, and others read.

#include <string>
#include <string_view>
#include <vector>

#include "eval/metrics.h"
#include "ir/model.h"
#include "program/bundle.h"

namespace thimble::cli {

inline constexpr const char* kFingerprintKey = "thimble.fingerprint";  // of the run that wrote it

// What is known of any file that is made from this model: the program's version, and the source.
program::Metadata metadata_of(const ir::Model& model);
std::string model_key(std::string_view key);  // of what the model's own metadata said
bool is_model_key(std::string_view key);

// What making the file measured of it.
std::string metric_key(std::string_view name);
void add_metrics(program::Metadata& metadata, const std::vector<eval::Metric>& metrics);
std::vector<eval::Metric> metrics_in(const program::Metadata& metadata);

}  // namespace thimble::cli
