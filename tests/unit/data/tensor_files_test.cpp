#include "data/tensor_files.h"

#include <filesystem>
#include <fstream>

#include "unit/catch.h"
#include "unit/support/scratch_folder.h"

namespace thimble::data {
namespace {

Expected<Array> named_by_path(const std::string& path) { return Array{path, "<f4", {}, {}}; }

std::string refusal(const Expected<std::unique_ptr<SampleSource>>& source) {
  return source ? "" : source.error().message;
}

}  // namespace

TEST_CASE("test_data_set folders are calls, their inputs by position") {
  const ScratchFolder folder;
  for (const std::string set : {"test_data_set_0", "test_data_set_1", "test_data_set_3"}) {
    std::filesystem::create_directory(folder.path(set));
    for (const std::string file : {"/input_0.pb", "/input_1.pb", "/output_0.pb"})
      std::ofstream(folder.path(set + file)) << "x";
  }
  const std::vector<InputSpec> inputs = {{"a", "<f4", {}}, {"b", "<f4", {}}};
  const auto source = tensor_samples(folder.path(""), inputs, named_by_path);
  REQUIRE(source.has_value());
  CHECK((*source)->size() == 2);  // 3 comes after a gap
  CHECK((*source)->begins(1));
  const auto arrays = (*source)->read(1);
  REQUIRE(arrays.has_value());
  CHECK((*arrays)[1].name == "b");
  const auto one = tensor_samples(folder.path("test_data_set_3"), inputs, named_by_path);
  REQUIRE(one.has_value());
  CHECK((*one)->size() == 1);
  CHECK(refusal(tensor_samples(folder.path("test_data_set_9"), inputs, named_by_path)) ==
        "the folder holds no test_data_set_0");
  CHECK(refusal(tensor_samples(folder.path(""), {{}, {}, {}}, named_by_path)) ==
        "a test_data_set holds 2 inputs, and the model takes 3");
}

}  // namespace thimble::data
