#pragma once
// safetensors: an 8-byte little-endian length, a JSON header of that length, then the tensors'
// bytes. The header's offsets are relative to the end of the header; they may neither overlap nor
// leave holes.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ir/weight.h"
#include "support/mapped_file.h"

namespace thimble::formats {

struct TensorEntry {
  ir::DType dtype = ir::DType::kUndefined;
  std::vector<std::int64_t> dims;
  std::uint64_t offset = 0;  // in the file
  std::uint64_t size = 0;    // bytes
  int six_bits = 0;          // F6: the bits of fraction, 3 or 2; `dtype` is the F8 that holds them
  std::shared_ptr<const MappedFile> file;
};
using TensorMap = std::map<std::string, TensorEntry>;

// Adds the tensors of one file. A name that is there already is an error.
Status read_safetensors(const std::string& path, TensorMap& tensors);

// A model folder: model.safetensors, or the shards that model.safetensors.index.json names. `files`
// gets what was read.
Expected<TensorMap> read_safetensors_folder(const std::string& folder,
                                            std::vector<std::string>& files);

// A dense weight over the mapped bytes.
ir::Weight mapped_weight(std::string name, const TensorEntry& entry);

}  // namespace thimble::formats
