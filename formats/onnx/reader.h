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
// The graph in the operators of the newest opset, with only the shapes that the file tells;
// operators that we don't know are left as they are.
Expected<ir::Model> read_as_written(const std::string& path);
// The same with every shape inferred; refuses operators that we don't know.
Expected<ir::Model> read(const std::string& path, const ReadOptions& options);

}  // namespace thimble::formats::onnx
