// The writer of formats/thimble over payloads made up here.

#include <filesystem>

#include "formats/thimble/writer.h"
#include "support/system.h"
#include "unit/catch.h"
#include "unit/program/program_builder.h"
#include "unit/support/scratch_folder.h"

using namespace thimble;
namespace p = program;

namespace {

// Rows of f32 that count on from `start`.
class Counting : public lower::Payload {
 public:
  Counting(std::int64_t rows, std::int64_t width, float start, bool broken = false)
      : rows_(rows), width_(width), start_(start), broken_(broken) {}
  std::int64_t pieces() const override { return rows_; }
  std::vector<std::uint64_t> piece_bytes() const override {
    return {static_cast<std::uint64_t>(width_) * 4};
  }
  Status produce(std::int64_t begin, std::int64_t end,
                 std::span<const std::span<std::byte>> streams) const override {
    if (broken_ && end == rows_) return invalid_file("the source is damaged");
    auto* out = reinterpret_cast<float*>(streams[0].data());
    for (std::int64_t i = 0; i < (end - begin) * width_; ++i)
      out[i] = start_ + static_cast<float>((begin * width_ + i) % 65536);
    return ok();
  }
  void release(std::int64_t, std::int64_t) const override {}

 private:
  std::int64_t rows_, width_;
  float start_;
  bool broken_;
};

// A program that hands out its constants.
struct Model {
  lower::Lowered lowered;
  void add(std::string name, std::int64_t rows, std::int64_t width, float start,
           bool broken = false) {
    p::Program& program = lowered.program;
    program.regions.resize(1);
    program.slots.push_back({name,
                             p::Slot::Kind::kConstant,
                             p::Type::kF32,
                             {test::number(rows), test::number(width)},
                             false,
                             static_cast<std::int32_t>(program.tensors.size())});
    program.regions[0].outputs.push_back(static_cast<std::int32_t>(program.slots.size()) - 1);
    program.tensors.push_back({.name = name,
                               .dims = {rows, width},
                               .segments = {static_cast<std::int32_t>(program.segments.size())}});
    program.segments.push_back({0, static_cast<std::uint64_t>(rows * width) * 4, {}});
    lowered.payloads.push_back(std::make_unique<Counting>(rows, width, start, broken));
    lowered.weight_names.push_back(std::move(name));
  }
};

p::Bundle about() {
  p::Bundle out;
  out.tokenizer_copy = {std::byte{1}, std::byte{2}};
  out.tokenizer = out.tokenizer_copy;
  out.parameters = 7;
  return out;
}

}  // namespace

TEST_CASE("payloads are written once each, and the file appears when it is finished") {
  const ScratchFolder folder;
  const std::string path = folder.path("model.thimble");
  Model model;
  model.add("a", 300, 1000, 0);
  model.add("twin of a", 300, 1000, 0);
  model.add("b", 7, 3, 5);
  ThreadPool pool(2);
  Progress progress(Progress::Style::kQuiet);
  auto writer = formats::ThimbleWriter::create(path, std::move(model.lowered), about());
  REQUIRE(writer);
  REQUIRE((*writer)->write_payloads(pool, progress));
  const auto partial = (*writer)->open_partial({{"b", "2"}});
  REQUIRE(partial);
  REQUIRE(partial->metadata[0].second == "2");
  REQUIRE_FALSE(std::filesystem::exists(path));
  REQUIRE((*writer)->finish({{"c", std::string(5000, 'x')}, {"a", "1"}}));
  const auto bundle = p::open_thimble(path, true);
  REQUIRE(bundle);
  REQUIRE(bundle->metadata[0].first == "a");
  REQUIRE(bundle->tokenizer.size() == 2);
  REQUIRE(bundle->program.segments[0].offset == bundle->program.segments[1].offset);
  REQUIRE((*writer)->file_bytes() == std::filesystem::file_size(path));
  REQUIRE(bundle->file_bytes < 1300000);
  const auto* a = reinterpret_cast<const float*>(bundle->segments[1].data());
  for (std::size_t i = 0; i < 300000; ++i) REQUIRE(a[i] == static_cast<float>(i % 65536));
  REQUIRE(reinterpret_cast<const float*>(bundle->segments[2].data())[20] == 25.0f);
}

TEST_CASE("a payload that fails names its tensor and leaves nothing behind") {
  const ScratchFolder folder;
  const std::string path = folder.path("model.thimble");
  Model model;
  model.add("whole", 3, 3, 0);
  model.add("damaged", 3, 3, 0, true);
  ThreadPool pool(1);
  Progress progress(Progress::Style::kQuiet);
  {
    auto writer = formats::ThimbleWriter::create(path, std::move(model.lowered), about());
    REQUIRE(writer);
    const Status status = (*writer)->write_payloads(pool, progress);
    REQUIRE_FALSE(status);
    REQUIRE(status.error().place.tensor == "damaged");
  }
  REQUIRE_FALSE(std::filesystem::exists(path));
  REQUIRE_FALSE(std::filesystem::exists(path + ".partial"));
}

TEST_CASE("memory doesn't grow with the model") {
  const ScratchFolder folder;
  Model model;
  model.add("large", 40000, 1000, 0);  // 160 MB
  ThreadPool pool(2);
  Progress progress(Progress::Style::kQuiet);
  system::reset_peak_rss();
  const std::uint64_t before = system::current_rss_bytes();
  auto writer = formats::ThimbleWriter::create(folder.path("model.thimble"),
                                               std::move(model.lowered), about());
  REQUIRE(writer);
  REQUIRE((*writer)->write_payloads(pool, progress));
  REQUIRE(system::peak_rss_bytes() - before < 40'000'000);
}
