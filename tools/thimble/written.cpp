#include "tools/thimble/written.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <vector>

#include <nlohmann/json.hpp>

#include "support/hash.h"
#include "support/mapped_file.h"
#include "tools/thimble/metadata.h"
#include "tools/thimble/open.h"

namespace thimble::cli {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> files_at(const std::string& path) {
  std::error_code error;
  std::vector<fs::path> files;
  if (fs::is_directory(path, error)) {
    for (const auto& entry : fs::recursive_directory_iterator(path, error)) {
      if (entry.is_regular_file(error)) files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    return files;
  }
  for (const std::string& file : {path, path + ".data"}) {
    if (fs::is_regular_file(file, error)) files.emplace_back(file);
  }
  return files;
}

// A member of a JSON object that is text; empty where there is none.
std::string text_in(const report::Json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

bool thimble_has(const std::string& path, const std::string& fingerprint) {
  if (!is_thimble(path)) return false;
  const auto bundle = program::open_thimble(path);
  if (!bundle) return false;
  const std::string* own = program::find(bundle->metadata, kFingerprintKey);
  return own != nullptr && *own == fingerprint;
}

// Does the report say that what lies there now was made with this fingerprint?
bool report_has(const report::Json& report, const std::string& path,
                const std::string& fingerprint) {
  if (text_in(report, "fingerprint") != fingerprint) return false;
  const auto written = written_at(path);
  return written && written->bytes > 0 && text_in(report, "output_digest") == written->digest;
}

}  // namespace

Expected<Written> written_at(const std::string& path) {
  constexpr std::uint64_t kChunk = 8u << 20;
  Written out;
  Hasher hasher;
  for (const fs::path& name : files_at(path)) {
    THIMBLE_ASSIGN(const auto file, MappedFile::open(name.string()));
    hasher.update(name.filename().string() + " " + std::to_string(file->size()) + "\n");
    for (std::uint64_t at = 0; at < file->size(); at += kChunk) {
      const std::uint64_t size = std::min(kChunk, file->size() - at);
      hasher.update(file->bytes().subspan(at, size));
      file->release(at, size);
    }
    out.bytes += file->size();
  }
  out.digest = hasher.finish().hex();
  return out;
}

std::optional<report::Json> report_if_up_to_date(const std::string& path,
                                                 const formats::Target& target,
                                                 const std::string& fingerprint, bool strict) {
  std::error_code error;
  if (!fs::is_regular_file(path + ".report.json", error)) return std::nullopt;
  std::ifstream file(path + ".report.json");
  report::Json report = report::Json::parse(file, nullptr, false);
  if (!report.is_object() || !report.contains("gates")) return std::nullopt;
  const bool there = is_thimble_target(target) ? thimble_has(path, fingerprint)
                                               : report_has(report, path, fingerprint);
  const auto findings = report.find("findings");
  if (!there || (strict && findings != report.end() && !findings->empty())) return std::nullopt;
  return report;
}

}  // namespace thimble::cli
