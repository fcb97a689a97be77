// DEPENDS: thimble_formats
#include <filesystem>
#include <fstream>

#include "formats/safetensors/reader.h"
#include "memory_file.h"

namespace {

using namespace thimble;

// Every element of every tensor, as a compressor takes them.
void read_all(const formats::TensorMap& tensors) {
  for (const auto& [name, entry] : tensors) {
    const ir::Weight weight = formats::mapped_weight(name, entry);
    (void)ir::read_floats(weight);
    (void)weight.source->describe();
    weight.source->release(0, weight.rows());
  }
}

// A folder whose index is the input and whose one shard, a.safetensors, holds tensor "w".
std::string folder_with_index(const std::uint8_t* data, std::size_t size) {
  static const std::string folder = [] {
    std::string name = std::filesystem::temp_directory_path() / "thimble-fuzz-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) std::abort();
    const std::string header = R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
    std::ofstream shard(name + "/a.safetensors", std::ios::binary);
    shard << static_cast<char>(header.size()) << std::string(7, '\0') << header
          << std::string(8, '\0');
    return name;
  }();
  std::ofstream index(folder + "/model.safetensors.index.json", std::ios::binary);
  index.write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  return folder;
}

}  // namespace

// What starts like JSON is an index of shards, the rest a file of tensors.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 0 && data[0] == '{') {
    std::vector<std::string> files;
    const auto tensors = formats::read_safetensors_folder(folder_with_index(data, size), files);
    if (tensors) read_all(*tensors);
    return 0;
  }
  const MemoryFile file(data, size);
  formats::TensorMap tensors;
  if (formats::read_safetensors(file.path(), tensors)) read_all(tensors);
  return 0;
}
