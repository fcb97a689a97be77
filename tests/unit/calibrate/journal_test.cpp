#include "calibrate/journal.h"

#include <filesystem>
#include <fstream>

#include "quant/quantize.h"
#include "unit/catch.h"
#include "unit/support/scratch_folder.h"

namespace thimble::calibrate {
namespace {

namespace fs = std::filesystem;

struct Example {
  ir::Weight weight = ir::make_dense("w", {5, 64}, std::vector<float>(5 * 64, 0.25f));
  ir::Rows rows;
  Example() {
    std::vector<float> values(5 * 64);
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<float>((i * 7919) % 101) / 50.0f - 1.0f;
    weight.encoding.kind = ir::EncodingKind::kAffine;
    weight.encoding.bits = 3;
    weight.encoding.group_size = 32;
    weight.encoding.constant_zero = 4;
    REQUIRE(quant::quantize_rows({values, 5, 64}, weight.encoding, {}, rows).has_value());
  }
};

bool same(const ir::WeightSource& source, const ir::Rows& rows) {
  const auto read = source.read(1, 4);
  REQUIRE(read.has_value());
  return read->count == 3 &&
         std::equal(read->codes.begin(), read->codes.end(), rows.codes.begin() + 64) &&
         read->codes.size() == 3 * 64 && read->scales.size() == 3 * 2 &&
         std::equal(read->scales.begin(), read->scales.end(), rows.scales.begin() + 2);
}

std::string only_rows_file(const std::string& folder) {
  std::string found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".rows") found = entry.path().string();
  }
  REQUIRE_FALSE(found.empty());
  return found;
}

}  // namespace

TEST_CASE("a journal of one output is one run's alone") {
  const ScratchFolder scratch;
  const std::string folder = scratch.path("out.work");
  {
    const auto first = Journal::open(folder, "one", "", Journal::Use::kAlone);
    REQUIRE(first.has_value());
    REQUIRE((*first)->add_figures("a", {1.0}));
    const auto second = Journal::open(folder, "two", "", Journal::Use::kAlone);
    REQUIRE_FALSE(second.has_value());
    CHECK(second.error().code == ErrorCode::kIo);
    REQUIRE(Journal::discard(folder));
    CHECK((*first)->find_figures("a").has_value());
  }
  REQUIRE(Journal::discard(folder));
  CHECK_FALSE(fs::exists(folder));
}

TEST_CASE("a journal gives back what was finished, to the next run of the same fingerprint") {
  const ScratchFolder scratch;
  const std::string folder = scratch.path("out.work");
  const Example example;
  {
    const auto journal = Journal::open(folder, "one");
    REQUIRE(journal.has_value());
    CHECK_FALSE((*journal)->find("gptq", example.weight).has_value());
    const auto added = (*journal)->add("gptq", example.weight, example.rows, {0.5, 2.0});
    REQUIRE(added.has_value());
    CHECK(same(*added->source, example.rows));
  }
  const auto again = Journal::open(folder, "one");
  REQUIRE(again.has_value());
  const auto found = (*again)->find("gptq", example.weight);
  REQUIRE(found.has_value());
  CHECK(same(*found->source, example.rows));
  CHECK(found->figures == std::vector<double>{0.5, 2.0});
  CHECK(found->source->relative_error() == 0.5);
  CHECK_FALSE((*again)->find("another pass", example.weight).has_value());
  ir::Weight wider = example.weight;
  wider.encoding.bits = 4;
  CHECK_FALSE((*again)->find("gptq", wider).has_value());

  const auto other = Journal::open(folder, "two");
  REQUIRE(other.has_value());
  CHECK_FALSE((*other)->find("gptq", example.weight).has_value());
}

TEST_CASE("a journal says whose results it dropped") {
  const ScratchFolder scratch;
  const std::string folder = scratch.path("out.work");
  const Example example;
  const auto journal = Journal::open(folder, "one", "1.0 abc");
  REQUIRE(journal.has_value());
  CHECK((*journal)->dropped().empty());
  REQUIRE((*journal)->add("gptq", example.weight, example.rows, {}).has_value());
  const auto again = Journal::open(folder, "one", "1.0 abc");
  REQUIRE(again.has_value());
  CHECK((*again)->dropped().empty());
  CHECK((*again)->find("gptq", example.weight).has_value());
  SECTION("of other code under the same version") {
    const auto other = Journal::open(folder, "one", "1.0 abd");
    REQUIRE(other.has_value());
    CHECK_FALSE((*other)->find("gptq", example.weight).has_value());
    CHECK((*other)->dropped() == "another version of thimble");
    CHECK((*Journal::open(folder, "two", "1.1 abc"))->dropped().empty());  // nothing was left
  }
  SECTION("of another recipe") {
    CHECK((*Journal::open(folder, "two", "1.0 abc"))->dropped() == "another model, recipe or data");
  }
}

TEST_CASE("a damaged or cut file of a journal counts as none") {
  const ScratchFolder scratch;
  const std::string folder = scratch.path("out.work");
  const Example example;
  const auto journal = Journal::open(folder, "one");
  REQUIRE(journal.has_value());
  REQUIRE((*journal)->add("gptq", example.weight, example.rows, {0.5}).has_value());
  const std::string path = only_rows_file(folder);
  const auto size = fs::file_size(path);
  SECTION("cut") { fs::resize_file(path, size - 1); }
  SECTION("changed") {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(size) - 3);
    file.put('\x7f');
  }
  SECTION("empty") { fs::resize_file(path, 0); }
  CHECK_FALSE((*journal)->find("gptq", example.weight).has_value());
}

TEST_CASE("removing a journal keeps what it maps and what isn't its own") {
  const ScratchFolder scratch;
  const std::string folder = scratch.path("out.work");
  const Example example;
  const auto journal = Journal::open(folder, "one");
  REQUIRE(journal.has_value());
  const auto added = (*journal)->add("gptq", example.weight, example.rows, {});
  REQUIRE(added.has_value());
  SECTION("alone") {
    REQUIRE((*journal)->remove().has_value());
    CHECK_FALSE(fs::exists(folder));
  }
  SECTION("beside a stranger") {
    std::ofstream(folder + "/notes.txt") << "mine";
    REQUIRE((*journal)->remove().has_value());
    CHECK(fs::exists(folder + "/notes.txt"));
    CHECK_FALSE(fs::exists(folder + "/journal.json"));
  }
  CHECK(same(*added->source, example.rows));
}

}  // namespace thimble::calibrate
