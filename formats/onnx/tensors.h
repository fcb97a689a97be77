#pragma once
// TensorProto to weight. raw_data and external data stay where they lie in the mapping; typed data
// (float_data and the like) is decoded into memory.

#include <memory>
#include <string>

#include "formats/onnx/external.h"
#include "formats/onnx/proto.h"
#include "ir/weight.h"

namespace thimble::formats::onnx {

// The type that the file's number stands for; an error for those that we don't know, for strings
// and for complex numbers.
Expected<ir::DType> dtype_of(std::int64_t data_type);

// Where tensors' bytes come from: the file that holds the messages, and those beside it.
struct TensorFiles {
  std::shared_ptr<const MappedFile> file;
  ExternalFiles external;
};
// A dense weight of the tensor's name, dims and type; types below 8 bits are packed, the first
// element in the low bits. Integers whose rows don't fill whole bytes become bytes: see
// widen_zeros.
Expected<ir::Weight> weight_of(const TensorInfo& tensor, TensorFiles& files);

// A file that is one TensorProto, as the data sets of ONNX's backend tests are. Where rows of a
// type below 8 bits don't fill whole bytes, only all of them can be read at once.
Expected<ir::Weight> read_tensor(const std::string& path);

}  // namespace thimble::formats::onnx
