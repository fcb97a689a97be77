// Whole files: written, read back, damaged, and those of old versions.

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>

#include "program/bundle.h"
#include "unit/catch.h"
#include "unit/program/program_builder.h"
#include "unit/support/scratch_folder.h"

using namespace thimble;
using test::ProgramBuilder;
namespace p = program;

namespace {

const std::string kGolden = std::string(THIMBLE_SOURCE_DIR) + "/tests/golden/linear-v1.thimble";

std::string write(const ScratchFolder& folder, const std::vector<std::byte>& bytes) {
  const std::string path = folder.path("file.thimble");
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  return path;
}

std::vector<std::byte> read(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  const auto* data = reinterpret_cast<const std::byte*>(text.data());
  return {data, data + text.size()};
}

// The header of a good file with one thing changed, sealed again with the right digest.
std::vector<std::byte> with_header(const std::function<void(p::Header&)>& change) {
  std::vector<std::byte> bytes = test::tiny_linear().file();
  const p::Preamble preamble = *p::Preamble::parse(bytes);
  p::Header header = *p::read_header(
      std::span(bytes).subspan(preamble.header_offset, preamble.header_size), bytes.size());
  bytes.resize(preamble.header_offset);
  change(header);
  return ProgramBuilder::seal(std::move(bytes), header);
}

std::string message_of(const std::vector<std::byte>& bytes) {
  const ScratchFolder folder;
  const auto bundle = p::open_thimble(write(folder, bytes), true);
  return bundle ? "" : bundle.error().message;
}

}  // namespace

TEST_CASE("a file gives back what went in") {
  const ScratchFolder folder;
  ProgramBuilder b = test::tiny_linear();
  const std::vector<std::byte> bytes = b.file();
  const auto read_back = p::open_thimble(write(folder, bytes), true);
  REQUIRE(read_back);
  REQUIRE(read_back->file_bytes == bytes.size());
  REQUIRE(read_back->parameters == 820);
  REQUIRE(read_back->chat_template == "{{ messages }}");
  REQUIRE(read_back->generation.eos_token_ids == std::vector<std::int64_t>{2, 3});
  REQUIRE(read_back->generation.repetition_penalty == 1.1f);
  REQUIRE(read_back->metadata == b.bundle.metadata);
  REQUIRE(std::string(reinterpret_cast<const char*>(read_back->tokenizer.data()),
                      read_back->tokenizer.size()) == "not a tokenizer");
  REQUIRE(read_back->program.slots.size() == b.program().slots.size());
  REQUIRE(read_back->program.slots[0].dims == b.program().slots[0].dims);
  const p::Tensor& tensor = read_back->program.tensors[0];
  REQUIRE(tensor.bits == 4);
  REQUIRE(tensor.group_size == 32);
  REQUIRE(tensor.constant_zero == 8);
  for (std::size_t s = 0; s < b.bundle.segments.size(); ++s) {
    REQUIRE(reinterpret_cast<std::uintptr_t>(read_back->segments[s].data()) % 64 == 0);
    REQUIRE(std::equal(b.bundle.segments[s].begin(), b.bundle.segments[s].end(),
                       read_back->segments[s].begin(), read_back->segments[s].end()));
  }
  REQUIRE(read_back->program.regions[0].instructions[0].op == p::Op::kLinear);
}

TEST_CASE("the golden file of version 1 is read, and written the same today") {
  REQUIRE(std::filesystem::exists(kGolden));
  const auto bundle = p::open_thimble(kGolden, true);
  REQUIRE(bundle);
  REQUIRE(bundle->program.tensors[0].name == "weight");
  REQUIRE(read(kGolden) == test::tiny_linear().file());
}

TEST_CASE("damaged files are refused with one clear message") {
  const std::vector<std::byte> good = test::tiny_linear().file();
  REQUIRE(message_of(good).empty());
  auto changed = [&](std::size_t at, int value) {
    std::vector<std::byte> bytes = good;
    bytes[at] = static_cast<std::byte>(value);
    return message_of(bytes);
  };
  SECTION("magic") { REQUIRE(changed(0, 'X') == "not a .thimble file: it starts otherwise"); }
  SECTION("version") {
    REQUIRE(changed(8, 99) == "format version 99 is not known; this program reads version 1");
  }
  SECTION("empty") { REQUIRE(message_of({}).find("truncated") == 0); }
  SECTION("cut short") {
    for (const std::size_t size :
         {std::size_t{1}, std::size_t{63}, std::size_t{64}, good.size() / 2, good.size() - 1}) {
      REQUIRE_FALSE(
          message_of({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)}).empty());
    }
  }
  SECTION("longer than it was") {
    std::vector<std::byte> bytes = good;
    bytes.push_back(std::byte{0});
    REQUIRE(message_of(bytes).find("bytes, not the") != std::string::npos);
  }
  SECTION("header outside the file") {
    REQUIRE(changed(23, 0x7f) == "the header lies outside the file");
  }
  SECTION("any bit of the header") {
    const p::Preamble preamble = *p::Preamble::parse(good);
    for (std::size_t at = preamble.header_offset; at < good.size(); ++at) {
      std::vector<std::byte> bytes = good;
      bytes[at] ^= std::byte{0x10};
      REQUIRE(message_of(bytes) == "the header's digest is wrong");
    }
  }
  SECTION("a bit of a segment") { REQUIRE(changed(64, 0xa5) == "a segment's digest is wrong"); }
}

TEST_CASE("headers that say what can't be are refused") {
  using Change = std::function<void(p::Header&)>;
  const std::pair<const char*, Change> cases[] = {
      {"a segment is not aligned", [](p::Header& h) { h.program.segments[0].offset += 8; }},
      {"a segment lies outside the file",
       [](p::Header& h) { h.program.segments[0].offset = std::uint64_t{1} << 40; }},
      {"a segment lies outside the file",
       [](p::Header& h) { h.program.segments[0].size = ~std::uint64_t{0}; }},
      {"two segments overlap",
       [](p::Header& h) { h.program.segments[1].offset = h.program.segments[0].offset; }},
      {"a segment's size isn't what the tensor's shape says",
       [](p::Header& h) { h.program.tensors[0].bits = 5; }},
      {"a tensor's tiles break their rules", [](p::Header& h) { h.program.tensors[0].bits = 9; }},
      {"a tensor's tiles break their rules",
       [](p::Header& h) { h.program.tensors[0].group_size = 24; }},
      {"a tensor has the wrong number of streams",
       [](p::Header& h) { h.program.tensors[0].zero = p::ZeroKind::kPoints; }},
      {"a tensor has an unknown layout",
       [](p::Header& h) { h.program.tensors[0].layout = static_cast<p::Layout>(7); }},
      {"a slot has an unknown kind or type",
       [](p::Header& h) { h.program.slots[0].type = static_cast<p::Type>(99); }},
      {"a slot names a tensor that isn't there",
       [](p::Header& h) { h.program.slots[1].tensor = 44; }},
      {"a size names a symbol that isn't there",
       [](p::Header& h) { h.program.slots[0].dims[0][0].value = 3; }},
      {"a size takes more than there is",
       [](p::Header& h) {
         h.program.slots[0].dims[0] = {{p::SizeStep::Op::kAdd, 0}};
       }},
      {"an instruction has the wrong number of inputs or outputs",
       [](p::Header& h) { h.program.regions[0].instructions[0].outputs.clear(); }},
      {"an instruction reads a slot that isn't there",
       [](p::Header& h) { h.program.regions[0].instructions[0].inputs[0] = 99; }},
      {"an instruction writes an input or a constant",
       [](p::Header& h) { h.program.regions[0].instructions[0].outputs[0] = 0; }},
      {"a slot is written twice",
       [](p::Header& h) {
         h.program.regions[0].instructions.push_back(h.program.regions[0].instructions[0]);
       }},
      {"an output is never computed",
       [](p::Header& h) { h.program.regions[0].instructions.clear(); }},
      {"an input is given never or twice",
       [](p::Header& h) { h.program.regions[0].inputs.clear(); }},
      {"the program has no region", [](p::Header& h) { h.program.regions.clear(); }},
      {"a state names a slot that isn't there",
       [](p::Header& h) {
         h.program.states.push_back({p::State::Kind::kCopy, 70, 70});
       }},
      {"the tokenizer's segment isn't there", [](p::Header& h) { h.tokenizer_segment = 50; }},
      {"instruction 999 is not known",
       [](p::Header& h) { h.program.regions[0].instructions[0].op = static_cast<p::Op>(999); }},
  };
  for (const auto& [message, change] : cases) {
    INFO(message);
    REQUIRE(message_of(with_header(change)) == message);
  }
}

TEST_CASE("equal tensors may share their segment") {
  REQUIRE(message_of(with_header([](p::Header& h) {
            p::Tensor twin = h.program.tensors[1];
            h.program.segments.push_back(h.program.segment(twin.segments[0]));
            twin.segments[0] = static_cast<std::int32_t>(h.program.segments.size()) - 1;
            h.program.tensors.push_back(twin);
          })).empty());
}

TEST_CASE("an empty segment may lie where another begins") {
  REQUIRE(message_of(with_header([](p::Header& h) {
            h.program.segments.push_back(
                {h.program.segments[0].offset, 0, digest_of(std::span<const std::byte>())});
          })).empty());
}

TEST_CASE("sizes are evaluated with checks") {
  using Op = p::SizeStep::Op;
  const std::vector<std::int64_t> symbols = {7, 3};
  const auto twice = p::Size{{Op::kSymbol, 0}, {Op::kConstant, 2}, {Op::kMultiply, 0}};
  REQUIRE(*p::evaluate(twice, symbols) == 14);
  REQUIRE(*p::evaluate({{Op::kSymbol, 0}, {Op::kSymbol, 1}, {Op::kAdd, 0}}, symbols) == 10);
  REQUIRE(*p::evaluate({{Op::kSymbol, 0}, {Op::kSymbol, 1}, {Op::kFloorDivide, 0}}, symbols) == 2);
  REQUIRE(*p::evaluate({{Op::kConstant, -4}, {Op::kSymbol, 1}, {Op::kMax, 0}}, symbols) == 3);
  REQUIRE_FALSE(p::evaluate({{Op::kConstant, -4}}, symbols));
  REQUIRE_FALSE(
      p::evaluate({{Op::kSymbol, 0}, {Op::kConstant, 0}, {Op::kFloorDivide, 0}}, symbols));
  REQUIRE_FALSE(p::evaluate(
      {{Op::kSymbol, 0}, {Op::kConstant, std::int64_t{1} << 62}, {Op::kMultiply, 0}}, symbols));
}

// For whoever adds a version: writes what the tests above and the fuzzer begin from. Run it by its
// tag.
TEST_CASE("write golden files", "[.golden]") {
  const auto save = [](const std::string& path, std::span<const std::byte> bytes) {
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  };
  const std::vector<std::byte> linear = test::tiny_linear().file();
  const std::vector<std::byte> decoder = test::tiny_decoder(true).file();
  save(kGolden, linear);
  save(std::string(THIMBLE_SOURCE_DIR) + "/tests/golden/decoder-v1.thimble", decoder);
  for (const auto& [name, bytes] : {std::pair("linear", linear), std::pair("decoder", decoder)}) {
    const p::Preamble preamble = *p::Preamble::parse(bytes);
    save(std::string(THIMBLE_SOURCE_DIR) + "/tests/fuzz/corpus/thimble/" + name,
         std::span(bytes).subspan(preamble.header_offset, preamble.header_size));
  }
}
