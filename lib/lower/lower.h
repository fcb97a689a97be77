#pragma once
// IR -> Program: chooses instructions, fuses what the runtime has in one piece, and says how each
// weight's streams are to be laid out. Nothing is packed here: payloads are produced when the file
// writer or the in-memory loader asks for them, a few tiles at a time.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ir/model.h"
#include "program/bundle.h"
#include "support/thread_pool.h"

namespace thimble::lower {

// Produces the streams of one tensor, a few pieces (tiles, or rows) at a time. All pieces of a
// stream are equally long, and independent: several threads may ask at once.
class Payload {
 public:
  virtual ~Payload() = default;
  virtual std::int64_t pieces() const = 0;
  virtual std::vector<std::uint64_t> piece_bytes() const = 0;  // by stream
  // Fills pieces [begin, end): streams[s] takes (end - begin) * piece_bytes()[s] bytes.
  virtual Status produce(std::int64_t begin, std::int64_t end,
                         std::span<const std::span<std::byte>> streams) const = 0;
  virtual void release(std::int64_t begin, std::int64_t end) const = 0;  // of the source's pages
  // The one stream as it lies in a mapping, when nothing needs to be done to it; else empty.
  virtual std::span<const std::byte> in_place() const { return {}; }
};

struct Lowered {
  program::Program program;  // segments hold sizes; offsets and digests are the writer's
  std::vector<std::unique_ptr<Payload>> payloads;  // by tensor
  std::vector<std::string> weight_names;           // by tensor
};

// The whole main graph. Errors name the node and what is supported.
Expected<Lowered> lower(const ir::Model& model);

// What travels beside the program: tokenizer, template, generation settings. Its `keep` holds the
// weights' sources, so that the model itself may go.
program::Bundle describe(const ir::Model& model);

// The same, ready to run: payloads are produced into memory, or used where they lie mapped. `model`
// must outlive the bundle only through what the bundle keeps (sources are shared).
Expected<program::Bundle> load(const ir::Model& model, ThreadPool& pool);

}  // namespace thimble::lower
