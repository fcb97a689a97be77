// DEPENDS: thimble_runtime thimble_program thimble_support
// The input is a .thimble file's header without the file: digests would stop every change at the
// door, so a file of zeros with the right ones is put around it. What passes the reader's checks is
// run on those zeros, for the runtime trusts the checks, and written again.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "memory_file.h"
#include "program/header.h"
#include "runtime/session.h"

namespace {

using namespace thimble;

constexpr std::uint64_t kFileBytes = 1 << 16;
constexpr std::int64_t kMostElements = 1 << 14;

// The elements of a slot when every symbol is `size`; -1 for too many.
std::int64_t elements(const program::Program& program, const program::Slot& slot, std::int64_t size,
                      std::vector<std::int64_t>* dims) {
  const std::vector<std::int64_t> symbols(program.symbols.size(), size);
  std::int64_t count = 1;
  for (const program::Size& expression : slot.dims) {
    const auto dim = program::evaluate(expression, symbols);
    if (!dim || *dim > kMostElements) return -1;
    count *= *dim;
    if (count > kMostElements) return -1;
    if (dims != nullptr) dims->push_back(*dim);
  }
  return count;
}

void run(const program::Bundle& bundle, std::int64_t size) {
  const program::Program& program = bundle.program;
  for (const program::Slot& slot : program.slots) {
    if (elements(program, slot, size, nullptr) < 0) return;
  }
  static ThreadPool pool(1);
  auto session =
      runtime::Session::create(bundle, pool, {.max_context = 8, .max_value_bytes = 1 << 24});
  if (!session) return;
  const std::vector<std::int64_t> zeros(kMostElements, 0);
  std::vector<runtime::TensorView> inputs;
  for (const std::int32_t index : program.regions[0].inputs) {
    const program::Slot& slot = program.slot(index);
    if (slot.kind != program::Slot::Kind::kInput) continue;
    runtime::TensorView view{slot.type, {}, zeros.data()};
    elements(program, slot, size, &view.dims);
    inputs.push_back(view);
  }
  for (int call = 0; call < 2; ++call) static_cast<void>((*session)->run(inputs).has_value());
}

// The header at the end of a file whose segments are zeros.
std::vector<std::byte> file_around(std::span<const std::byte> header) {
  program::Preamble preamble;
  preamble.header_offset = kFileBytes;
  preamble.header_size = header.size();
  preamble.file_size = kFileBytes + header.size();
  preamble.header_digest = digest_of(header);
  std::vector<std::byte> out(preamble.file_size);
  std::ranges::copy(preamble.to_bytes(), out.begin());
  std::ranges::copy(header, out.begin() + kFileBytes);
  return out;
}

// What was read is written, and read again as the same.
void write_again(const program::Header& header) {
  const auto bytes = program::write_header(header);
  const auto again = program::read_header(bytes, kFileBytes);
  if (!again || program::write_header(*again) != bytes) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  static_cast<void>(program::Preamble::parse(bytes).has_value());
  auto header = program::read_header(bytes, kFileBytes);
  if (!header) return 0;
  write_again(*header);
  const auto file = file_around(bytes);
  const MemoryFile mapped(reinterpret_cast<const std::uint8_t*>(file.data()), file.size());
  for (const bool check : {false, true})
    static_cast<void>(program::open_thimble(mapped.path(), check).has_value());
  for (const program::State& state : header->program.states) {
    if (state.heads * state.head_dim > kMostElements) return 0;
  }
  program::Bundle bundle;
  bundle.program = std::move(header->program);
  // Each segment alone in its memory, so that a sanitizer sees what is read beyond it.
  std::vector<std::unique_ptr<std::byte[]>> segments;
  for (const program::Segment& segment : bundle.program.segments) {
    segments.push_back(std::make_unique<std::byte[]>(segment.size));
    bundle.segments.push_back({segments.back().get(), segment.size});
  }
  run(bundle, 3);
  return 0;
}
