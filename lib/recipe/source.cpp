#include "recipe/source.h"

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <vector>

#include "recipe/recipe.h"
#include "support/mapped_file.h"

namespace thimble::recipe {
namespace {

// A pipe's or a terminal's; what it names is relative to the current folder.
Expected<Source> read_stream(const std::string& name, const std::string& path) {
  constexpr std::size_t kMost = (1 << 20) + 1;  // a byte more than a recipe may have
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return io_error("cannot open the file", errno).in(name);
  std::string text(kMost, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(stream.gcount()));
  return Source{name, std::move(text), ""};
}

}  // namespace

Expected<Source> open_source(const std::string& name, const std::string& directory) {
  namespace fs = std::filesystem;
  if (name == "-") return read_stream("stdin", "/dev/stdin");
  fs::path path(name);
  if (path.is_relative() && !directory.empty()) path = fs::path(directory) / path;
  std::error_code error;
  if (fs::is_regular_file(path, error)) {
    THIMBLE_ASSIGN(const auto file, MappedFile::open(path.string()));
    return Source{path.string(), std::string(file->text()), path.parent_path().string()};
  }
  if (fs::is_fifo(path, error) || fs::is_character_file(path, error))
    return read_stream(path.string(), path.string());
  std::vector<std::string> names;
  for (const Shipped& shipped : shipped_recipes()) {
    if (shipped.name == name) return Source{name, std::string(shipped.text), ""};
    names.emplace_back(shipped.name);
  }
  return not_found("no recipe '" + name + "': neither a file nor a shipped one" +
                   suggestion(name, names, "shipped recipes"));
}

}  // namespace thimble::recipe
