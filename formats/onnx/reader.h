#pragma once
// .onnx files: a ModelProto of any IR version and of opsets 1 to kNewestOpset of the default
// domain.
//
// The file is mapped, and weights stay where they lie. Model::metadata gets "onnx.ir_version",
// "onnx.opset", "onnx.opset.DOMAIN" of other domains, "onnx.producer", and "onnx.metadata.KEY" for
// each of the file's metadata_props.

#include <string>

#include "formats/all.h"

namespace thimble::formats::onnx {

inline constexpr std::int64_t kNewestOpset = 27;

// By the first bytes: does the file begin as a ModelProto does?
bool is_onnx(const std::string& path);
Expected<ir::Model> read(const std::string& path, const ReadOptions& options);

}  // namespace thimble::formats::onnx
