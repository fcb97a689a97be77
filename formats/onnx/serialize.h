#pragma once
// A model's graphs as a GraphProto, its weights' bytes left out (see message.h).

#include <set>
#include <string>
#include <vector>

#include "formats/onnx/message.h"
#include "formats/onnx/opsets.h"
#include "ir/model.h"

namespace thimble::formats::onnx {

// Where tensors' bytes go: into the message, or, those of `smallest` bytes and more, into the file
// `location` one after the other, each at a multiple of `alignment`.
struct Layout {
  std::string location;  // empty: all in the message
  std::uint64_t smallest = 0;
  std::uint64_t alignment = 1;
};

struct Serialized {
  Message message;
  Versions versions;
  std::set<std::string> domains;            // other than the default one
  std::vector<const ir::Weight*> external;  // in the order of the file
};

// All weights must be dense. The result refers to the model's weights.
Expected<Serialized> serialize(const ir::Model& model, const Layout& layout);

}  // namespace thimble::formats::onnx
