#include "data/samples.h"

#include <cstring>
#include <zlib.h>

#include "unit/catch.h"
#include "unit/support/scratch_folder.h"

namespace thimble::data {
namespace {

std::string idx(std::vector<std::uint32_t> dims, const std::string& bytes) {
  std::string out = {0, 0, 8, static_cast<char>(dims.size())};
  for (const std::uint32_t dim : dims) {
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(dim >> shift & 255);
  }
  return out + bytes;
}

std::vector<float> floats_of(const Array& array) {
  std::vector<float> values(array.bytes.size() / sizeof(float));
  std::memcpy(values.data(), array.bytes.data(), array.bytes.size());
  return values;
}

Array floats(const std::string& name, std::vector<std::int64_t> dims,
             const std::vector<float>& values) {
  Array array{name, "<f4", std::move(dims), std::vector<std::byte>(values.size() * 4)};
  std::memcpy(array.bytes.data(), values.data(), array.bytes.size());
  return array;
}

const InputSpec kImage{"x", "<f4", {-1, 1, 2, 3}};

std::string refusal(const Expected<std::unique_ptr<SampleSource>>& source) {
  return source ? "" : source.error().message;
}

TEST_CASE("images and labels of IDX files, plain and compressed") {
  const ScratchFolder folder;
  const std::string images = idx({2, 2, 3}, std::string("\0\1\2\3\4\xff"
                                                        "abcdef",
                                                        12));
  const std::string plain = folder.write("images", images);
  const std::string packed = folder.path("images.gz");
  const gzFile file = gzopen(packed.c_str(), "wb");
  REQUIRE(gzwrite(file, images.data(), static_cast<unsigned>(images.size())) == 16 + 12);
  gzclose(file);
  const std::string labels = folder.write("labels", idx({2}, "\7\1"));
  for (const std::string& path : {plain, packed}) {
    const auto source =
        idx_samples(path, labels, {kImage}, {.scale = 2, .mean = {1}, .deviation = {4}});
    REQUIRE(source.has_value());
    CHECK((*source)->size() == 2);
    CHECK((*source)->label(0) == 7);
    const auto arrays = (*source)->read(0);
    REQUIRE(arrays.has_value());
    REQUIRE(arrays->size() == 1);
    CHECK((*arrays)[0].dims == std::vector<std::int64_t>{1, 1, 2, 3});
    CHECK(floats_of((*arrays)[0]) == std::vector<float>{-0.25, 0.25, 0.75, 1.25, 1.75, 127.25});
  }
}

TEST_CASE("channels become planes where the model has them first") {
  const ScratchFolder folder;
  const std::string path = folder.write("images", idx({1, 1, 2, 3}, "\1\2\3\4\5\6"));
  const auto source = idx_samples(path, "", {{"x", "<f4", {1, 3, 1, 2}}}, {});
  REQUIRE(source.has_value());
  CHECK_FALSE((*source)->label(0).has_value());
  CHECK(floats_of((*(*source)->read(0))[0]) == std::vector<float>{1, 4, 2, 5, 3, 6});
}

TEST_CASE("damaged IDX files and images that don't fit are refused") {
  const ScratchFolder folder;
  const std::string whole = idx({2, 2, 3}, "abcdefabcdef");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto source = idx_samples(folder.write("cut", whole.substr(0, size)), "", {kImage}, {});
    CHECK_FALSE(source.has_value());
  }
  const std::string path = folder.write("images", whole);
  CHECK(refusal(idx_samples(path, "", {{"x", "<f4", {1, 1, 3, 3}}}, {})) ==
        "images of [2, 3] do not fit the model's input [1, 1, 3, 3]");
  CHECK(refusal(idx_samples(path, "", {kImage}, {.deviation = {0}})) == "'std' is above 0");
  CHECK(refusal(idx_samples(path, folder.write("labels", idx({3}, "abc")), {kImage}, {})) ==
        "the labels are not one per image");
  CHECK(refusal(idx_samples(folder.path("none"), "", {kImage}, {})) != "");
  CHECK(refusal(idx_samples(folder.write("huge", idx({~0u, ~0u, ~0u}, "")), "", {kImage}, {})) ==
        "an IDX file of 1 to 2^32 bytes is expected");
}

TEST_CASE("archives hold one call, or one per entry of the first axis") {
  const ScratchFolder folder;
  const std::vector<InputSpec> inputs = {{"a", "<f4", {-1}}, {"b", "<f4", {}}};
  const std::string one = folder.path("1.npz"), many = folder.path("2.npz");
  REQUIRE(write_npz(one, {floats("a", {2}, {1, 2}), floats("b", {}, {3})}).has_value());
  REQUIRE(
      write_npz(many, {floats("a", {2, 2}, {4, 5, 6, 7}), floats("b", {2}, {8, 9})}).has_value());
  const auto source = npz_samples(folder.path(""), inputs);
  REQUIRE(source.has_value());
  REQUIRE((*source)->size() == 3);
  CHECK(floats_of((*(*source)->read(0))[0]) == std::vector<float>{1, 2});
  const auto last = (*source)->read(2);
  CHECK(floats_of((*last)[0]) == std::vector<float>{6, 7});
  CHECK((*last)[1].dims.empty());
  CHECK(floats_of((*last)[1]) == std::vector<float>{9});
  // An input of batch 1 takes a batch entry by entry.
  const auto batch = npz_samples(many, {{"a", "<f4", {1, 2}}});
  REQUIRE(batch.has_value());
  REQUIRE((*batch)->size() == 2);
  const auto second = (*batch)->read(1);
  CHECK((*second)[0].dims == std::vector<std::int64_t>{1, 2});
  CHECK(floats_of((*second)[0]) == std::vector<float>{6, 7});
  CHECK(refusal(npz_samples(one, {{"c", "<f4", {}}})) == "no array 'c'");
  CHECK(refusal(npz_samples(one, {{"a", "<f4", {1, 1, 1}}})) != "");
}

}  // namespace
}  // namespace thimble::data
