#include "data/files.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

namespace thimble::data {

Expected<std::vector<std::string>> files_of(const std::string& path,
                                            const std::vector<std::string>& extensions) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (!fs::is_directory(path, error)) return std::vector<std::string>{path};
  std::vector<std::string> files;
  for (fs::directory_iterator at(path, error), end; !error && at != end; at.increment(error)) {
    std::string extension = at->path().extension().string();
    for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (std::find(extensions.begin(), extensions.end(), extension) != extensions.end())
      files.push_back(at->path().string());
  }
  if (error) return io_error("cannot read the folder", error.value()).in(path);
  std::string wanted;
  for (const std::string& extension : extensions)
    wanted += (wanted.empty() ? "" : " or ") + extension;
  if (files.empty()) return not_found("no " + wanted + " file in the folder").in(path);
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace thimble::data
