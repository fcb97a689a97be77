#pragma once
// Files beside the model that hold tensors' bytes (TensorProto.external_data).
//
// A location is relative and stays in the model's folder. A symbolic link is followed when it ends
// in that folder or, in a Hugging Face cache, in `blobs` of the same entry, where the cache keeps
// the files that its snapshots link to.

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "support/mapped_file.h"

namespace thimble::formats::onnx {

class ExternalFiles {
 public:
  explicit ExternalFiles(const std::string& model_path);
  // Maps the file on first use.
  Expected<std::shared_ptr<const MappedFile>> open(std::string_view location);
  // Paths of what was opened, sorted.
  std::vector<std::string> paths() const;

 private:
  struct File {
    std::string path;
    std::shared_ptr<const MappedFile> mapping;
  };
  std::string folder_;
  std::map<std::string, File, std::less<>> files_;  // by location
};

}  // namespace thimble::formats::onnx
