// Runs a fuzzer over the files of a folder, and over damaged copies of each that are the same on
// every run: cut short, and with a few bytes changed. For builds without libFuzzer.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "support/rng.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr int kCuts = 32;
constexpr int kChangedCopies = 96;
constexpr std::size_t kLargest = 1 << 20;  // damaged copies of larger files would take too long

void run(const Bytes& bytes) {
  // A copy of exactly this size, so that a sanitizer sees the first byte read beyond it.
  const Bytes exact(bytes.begin(), bytes.end());
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

std::uint8_t interesting_byte(thimble::Rng& rng) {
  constexpr std::uint8_t kValues[] = {0, 1, 0x7f, 0x80, 0xff};
  const std::uint64_t choice = rng.below(8);
  return choice < std::size(kValues) ? kValues[choice] : static_cast<std::uint8_t>(rng.next());
}

void run_damaged(const Bytes& bytes, const std::string& name) {
  thimble::Rng rng(1, name);
  for (int i = 0; i < kCuts; ++i) {
    // Headers come first, so half of the cuts fall into the first 256 bytes.
    const std::size_t range = i % 2 == 0 ? std::min<std::size_t>(bytes.size(), 256) : bytes.size();
    run(Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(rng.below(range + 1))));
  }
  if (bytes.empty()) return;
  for (int i = 0; i < kChangedCopies; ++i) {
    Bytes copy = bytes;
    const std::size_t range = i % 2 == 0 ? std::min<std::size_t>(copy.size(), 256) : copy.size();
    for (std::uint64_t changes = 1 + rng.below(4); changes > 0; --changes) {
      copy[rng.below(range)] = interesting_byte(rng);
    }
    run(copy);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s CORPUS_FOLDER\n", argv[0]);
    return 2;
  }
  std::vector<std::filesystem::path> files;
  std::error_code failure;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1], failure)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  if (failure || files.empty()) {
    std::fprintf(stderr, "%s: no corpus there\n", argv[1]);
    return 1;
  }
  std::sort(files.begin(), files.end());
  for (const auto& file : files) {
    std::ifstream stream(file, std::ios::binary);
    const Bytes bytes{std::istreambuf_iterator<char>(stream), {}};
    std::printf("%s: %zu bytes\n", file.filename().c_str(), bytes.size());
    std::fflush(stdout);  // names the culprit when the next lines never come
    run(bytes);
    if (bytes.size() <= kLargest) run_damaged(bytes, file.filename().string());
  }
  return 0;
}
