// A lowered program made ready to run in this process.

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <new>

#include "lower/lower.h"

namespace thimble::lower {
namespace {

constexpr std::size_t kAlignment = 64;

struct AlignedBuffer {
  explicit AlignedBuffer(std::size_t size)
      : bytes(static_cast<std::byte*>(::operator new(size, std::align_val_t(kAlignment))), size) {}
  ~AlignedBuffer() { ::operator delete(bytes.data(), std::align_val_t(kAlignment)); }
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;
  std::span<std::byte> bytes;
};

Status produce_all(const Payload& payload, const std::vector<std::span<std::byte>>& streams,
                   ThreadPool& pool) {
  const std::vector<std::uint64_t> bytes = payload.piece_bytes();
  std::mutex mutex;
  Status first = ok();
  pool.parallel_for(
      static_cast<std::size_t>(payload.pieces()), 1, [&](std::size_t begin, std::size_t end) {
        std::vector<std::span<std::byte>> part;
        for (std::size_t s = 0; s < streams.size(); ++s)
          part.push_back(streams[s].subspan(begin * bytes[s], (end - begin) * bytes[s]));
        Status status =
            payload.produce(static_cast<std::int64_t>(begin), static_cast<std::int64_t>(end), part);
        payload.release(static_cast<std::int64_t>(begin), static_cast<std::int64_t>(end));
        if (status) return;
        const std::lock_guard lock(mutex);
        if (first) first = std::move(status);
      });
  return first;
}

// ONNX files put tensors at any address; operators read whole elements.
bool is_aligned(std::span<const std::byte> bytes, program::Type type) {
  const auto size = static_cast<std::uintptr_t>(std::max(program::type_bytes(type), 1));
  return reinterpret_cast<std::uintptr_t>(bytes.data()) % size == 0;
}

program::Generation generation_of(const ir::GenerationConfig& config) {
  program::Generation out;
  out.eos_token_ids = config.eos_token_ids;
  out.bos_token_id = config.bos_token_id.value_or(-1);
  out.temperature = config.temperature.value_or(-1.0f);
  out.top_k = config.top_k.value_or(-1);
  out.top_p = config.top_p.value_or(-1.0f);
  out.repetition_penalty = config.repetition_penalty.value_or(-1.0f);
  return out;
}

}  // namespace

Expected<program::Bundle> load(const ir::Model& model, ThreadPool& pool) {
  THIMBLE_ASSIGN(Lowered lowered, lower(model));
  program::Bundle bundle = describe(model);
  bundle.program = std::move(lowered.program);
  bundle.segments.resize(bundle.program.segments.size());
  for (std::size_t t = 0; t < lowered.payloads.size(); ++t) {
    const Payload& payload = *lowered.payloads[t];
    const auto& indices = bundle.program.tensors[t].segments;
    const auto view = payload.in_place();
    if (!view.empty() && is_aligned(view, bundle.program.tensors[t].type)) {
      bundle.segments[static_cast<std::size_t>(indices[0])] = view;
      continue;
    }
    std::vector<std::span<std::byte>> streams;
    for (const std::int32_t index : indices) {
      const auto buffer = std::make_shared<AlignedBuffer>(bundle.program.segment(index).size);
      streams.push_back(buffer->bytes);
      bundle.segments[static_cast<std::size_t>(index)] = buffer->bytes;
      bundle.keep.push_back(buffer);
    }
    THIMBLE_TRY(produce_all(payload, streams, pool));
  }
  return bundle;
}

program::Bundle describe(const ir::Model& model) {
  program::Bundle bundle;
  for (const ir::Weight& weight : model.weights) {
    if (weight.source != nullptr) bundle.keep.push_back(weight.source);
  }
  bundle.tokenizer_copy = model.tokenizer;
  bundle.tokenizer = bundle.tokenizer_copy;
  bundle.chat_template = model.chat_template;
  bundle.generation = generation_of(model.generation);
  bundle.parameters = model.parameter_count();
  return bundle;
}

}  // namespace thimble::lower
