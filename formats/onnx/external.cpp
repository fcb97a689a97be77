#include "formats/onnx/external.h"

#include <filesystem>

namespace thimble::formats::onnx {
namespace {

namespace fs = std::filesystem;

bool stays_inside(const fs::path& location) {
  if (location.empty() || location.is_absolute()) return false;
  for (const fs::path& part : location) {
    if (part == "..") return false;
  }
  return true;
}

bool is_inside(const fs::path& path, const fs::path& folder) {
  auto part = path.begin();
  for (const fs::path& wanted : folder) {
    if (part == path.end() || *part++ != wanted) return false;
  }
  return true;
}

// .../models--ORG--NAME/snapshots/REVISION/...: .../models--ORG--NAME/blobs. Empty for other
// folders.
fs::path cache_blobs(const fs::path& folder) {
  for (fs::path at = folder; at.has_relative_path(); at = at.parent_path()) {
    const fs::path entry = at.parent_path();
    if (at.filename() == "snapshots" && entry.filename().string().starts_with("models--")) {
      return entry / "blobs";
    }
  }
  return {};
}

}  // namespace

ExternalFiles::ExternalFiles(const std::string& model_path)
    : folder_(fs::path(model_path).parent_path().string()) {
  if (folder_.empty()) folder_ = ".";
}

Expected<std::shared_ptr<const MappedFile>> ExternalFiles::open(std::string_view location) {
  if (const auto known = files_.find(location); known != files_.end()) return known->second.mapping;
  const fs::path relative{std::string(location)};
  if (location.find('\0') != std::string_view::npos || !stays_inside(relative)) {
    return invalid_file("external data at '" + std::string(location) +
                        "' would leave the model's folder");
  }
  std::error_code error;
  const fs::path folder = fs::canonical(folder_, error);
  if (error) return io_error("the model's folder cannot be resolved", error.value()).in(folder_);
  const std::string named = (fs::path(folder_) / relative).string();
  const fs::path target = fs::canonical(named, error);
  if (error) {
    return io_error("external data cannot be opened", error.value())
        .in(named)
        .fix("keep the model's data files in its folder");
  }
  const fs::path blobs = cache_blobs(folder);
  const bool in_cache = !blobs.empty() && is_inside(target, blobs);
  if (!is_inside(target, folder) && !in_cache) {
    return invalid_file("external data is a link that leaves the model's folder")
        .in(named)
        .fix("copy the data file into the model's folder");
  }
  THIMBLE_ASSIGN(auto mapping, MappedFile::open(target.string()));
  files_.emplace(std::string(location), File{named, mapping});
  return mapping;
}

std::vector<std::string> ExternalFiles::paths() const {
  std::vector<std::string> out;
  for (const auto& [location, file] : files_) out.push_back(file.path);
  return out;
}

}  // namespace thimble::formats::onnx
