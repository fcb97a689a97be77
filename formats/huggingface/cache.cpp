// The local cache of the Hugging Face hub: models--ORG--NAME/snapshots/REVISION holds links into
// ../../blobs of the same entry. Such links are followed, others refused.

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "formats/huggingface/reader.h"

namespace thimble::formats {
namespace {

namespace fs = std::filesystem;

fs::path cache_root() {
  if (const char* hub = std::getenv("HF_HUB_CACHE"); hub != nullptr && *hub != '\0') return hub;
  if (const char* home = std::getenv("HF_HOME"); home != nullptr && *home != '\0')
    return fs::path(home) / "hub";
  const char* user = std::getenv("HOME");
  return fs::path(user != nullptr ? user : "/") / ".cache" / "huggingface" / "hub";
}

bool inside(const fs::path& path, const fs::path& folder) {
  const auto relative = path.lexically_relative(folder);
  return !relative.empty() && *relative.begin() != "..";
}

Status check_links(const fs::path& snapshot, const fs::path& entry) {
  std::error_code error;
  const fs::path blobs = fs::weakly_canonical(entry / "blobs", error);
  for (const auto& file : fs::directory_iterator(snapshot, error)) {
    if (!file.is_symlink(error)) continue;
    const fs::path target = fs::weakly_canonical(file.path(), error);
    if (!inside(target, blobs))
      return invalid_file("a link leaves its cache entry").in(file.path().string());
  }
  return ok();
}

}  // namespace

Expected<std::string> find_in_cache(const std::string& name) {
  const Error missing =
      not_found("no file, folder or cached model '" + name + "'").fix("hf download " + name);
  const auto slash = name.find('/');
  std::error_code error;
  const bool plain =
      slash != std::string::npos && slash > 0 && !fs::is_directory(name.substr(0, slash), error) &&
      name.find('/', slash + 1) == std::string::npos && name.find("..") == std::string::npos;
  if (!plain) return not_found("no file or folder of this name").in(name);
  const fs::path entry =
      cache_root() / ("models--" + name.substr(0, slash) + "--" + name.substr(slash + 1));
  std::string revision;
  std::ifstream(entry / "refs" / "main") >> revision;
  if (revision.empty() || revision.find('/') != std::string::npos ||
      revision.find("..") != std::string::npos)
    return Error(missing);
  const fs::path snapshot = entry / "snapshots" / revision;
  if (!fs::is_directory(snapshot, error)) return Error(missing);
  THIMBLE_TRY(check_links(snapshot, entry));
  return snapshot.string();
}

}  // namespace thimble::formats
