// Every model of ONNX's own backend tests, and a few real ones: read, or refused as unsupported.

#include <cstdlib>

#include "formats/onnx/reader.h"
#include "formats/onnx/tensors.h"
#include "onnx_bytes.h"
#include "unit/catch.h"

namespace thimble::formats::onnx {
namespace {

namespace fs = std::filesystem;

struct Counts {
  int read = 0;
  int unsupported = 0;
};

void read_one(const fs::path& path, Counts& counts) {
  const auto model = read_as_written(path.string());
  INFO(path);
  if (model) {
    ++counts.read;
    CHECK(model->graph.outputs().size() > 0);
    return;
  }
  INFO(model.error().to_string());
  CHECK(model.error().code == ErrorCode::kUnsupported);
  ++counts.unsupported;
}

void read_one_tensor(const fs::path& path, Counts& counts) {
  const auto weight = read_tensor(path.string());
  INFO(path);
  if (!weight) {
    ++counts.unsupported;
    return;
  }
  ++counts.read;
  CHECK(weight->source->in_place().size() == weight->byte_size());
}

Counts read_all_tensors(const fs::path& folder) {
  Counts counts;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ".pb") read_one_tensor(entry.path(), counts);
  }
  return counts;
}

Counts read_all(const fs::path& folder) {
  Counts counts;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ".onnx") read_one(entry.path(), counts);
  }
  return counts;
}

}  // namespace

TEST_CASE("the models of the ONNX backend tests are read") {
  const fs::path archive =
      fs::path(THIMBLE_SHARED_DIR) / "data/onnx-backend-tests/onnx-1.22.0-backend-tests.tar.xz";
  if (!fs::exists(archive)) {
    WARN("skipped: the backend tests are not there");
    return;
  }
  const ScratchFolder scratch;
  const std::string unpack = "tar -xf '" + archive.string() + "' -C '" + scratch.path() + "'";
  REQUIRE(std::system(unpack.c_str()) == 0);
  const auto check = [&](const std::string& category, int read, int unsupported) {
    const Counts counts = read_all(scratch.path(category));
    INFO(category);
    CHECK(counts.read == read);
    CHECK(counts.unsupported == unsupported);
  };
  check("node", 1703, 62);  // strings, sequences, optionals, transforms along any axis
  // The others are strings, sequences and optionals.
  const Counts tensors = read_all_tensors(scratch.path("node"));
  CHECK(tensors.read == 5922);
  CHECK(tensors.unsupported == 107);
  check("light", 9, 0);
  check("simple", 17, 6);  // strings
  check("pytorch-converted", 82, 0);
  check("pytorch-operator", 35, 0);
}

TEST_CASE("real ONNX models are read") {
  const fs::path folder = fs::path(THIMBLE_SHARED_DIR) / "data/onnx";
  if (!fs::exists(folder)) {
    WARN("skipped: the models are not there");
    return;
  }
  const Counts counts = read_all(folder);
  CHECK(counts.read == 7);
  CHECK(counts.unsupported == 0);
}

}  // namespace thimble::formats::onnx
