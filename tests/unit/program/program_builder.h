#pragma once
// Builds small programs by hand, and files of them.

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "kernels/linear.h"
#include "program/header.h"
#include "support/checked.h"
#include "support/half.h"

namespace thimble::test {

namespace p = program;

inline p::Size number(std::int64_t value) { return {{p::SizeStep::Op::kConstant, value}}; }
inline p::Size symbol(std::int64_t index) { return {{p::SizeStep::Op::kSymbol, index}}; }
inline p::Size sum(p::Size a, const p::Size& b) {
  a.insert(a.end(), b.begin(), b.end());
  a.push_back({p::SizeStep::Op::kAdd, 0});
  return a;
}
inline p::Attribute ints(std::string name, std::vector<std::int64_t> values) {
  return {std::move(name), std::move(values), {}};
}
inline p::Attribute real(std::string name, float value) { return {std::move(name), {}, {value}}; }

// A bundle that owns its streams. Slots are added before instructions that use them; indices come
// back.
class ProgramBuilder {
 public:
  ProgramBuilder() { program().regions.resize(1); }

  std::int64_t add_symbol(std::string name) {
    program().symbols.push_back(std::move(name));
    return static_cast<std::int64_t>(program().symbols.size()) - 1;
  }
  std::int32_t input(std::string name, p::Type type, std::vector<p::Size> dims) {
    const std::int32_t slot = add(std::move(name), p::Slot::Kind::kInput, type, std::move(dims));
    region().inputs.push_back(slot);
    return slot;
  }
  std::int32_t activation(std::string name, p::Type type, std::vector<p::Size> dims) {
    return add(std::move(name), p::Slot::Kind::kActivation, type, std::move(dims));
  }
  std::int32_t state(std::string name, p::Type type, std::vector<p::Size> dims) {
    const std::int32_t slot = add(std::move(name), p::Slot::Kind::kState, type, std::move(dims));
    region().inputs.push_back(slot);
    return slot;
  }
  template <class T>
  std::int32_t constant(std::string name, p::Type type, std::vector<std::int64_t> dims,
                        const std::vector<T>& values) {
    p::Tensor tensor{.name = name, .type = type, .dims = dims};
    tensor.segments = {stream(values.data(), values.size() * sizeof(T))};
    return constant_slot(std::move(name), std::move(tensor));
  }
  // W [rows, inputs] as 4-bit codes minus 8 (zeros in `codes` past the end), scales f16, one group
  // per 32 inputs.
  std::int32_t tiles(std::string name, std::int64_t rows, std::int64_t inputs,
                     const std::vector<std::uint8_t>& codes, float scale) {
    p::Tensor t{.name = name,
                .layout = p::Layout::kTiles,
                .type = p::Type::kF16,
                .dims = {rows, inputs},
                .rows = rows,
                .inputs = inputs,
                .axis = 1,
                .bits = 4,
                .group_size = 32,
                .zero = p::ZeroKind::kConstant,
                .constant_zero = 8};
    const std::int64_t tile_count = ceil_div<std::int64_t>(rows, 16),
                       blocks = ceil_div<std::int64_t>(inputs, 32);
    std::vector<std::uint8_t> packed(static_cast<std::size_t>(tile_count * blocks * 256));
    std::vector<std::uint16_t> scales(static_cast<std::size_t>(tile_count * blocks * 16), 0);
    for (std::int64_t tile = 0; tile < tile_count; ++tile) {
      std::vector<std::uint8_t> own(static_cast<std::size_t>(16 * inputs), 0);
      for (std::int64_t r = 0; r < 16 && tile * 16 + r < rows; ++r) {
        std::memcpy(own.data() + r * inputs, codes.data() + (tile * 16 + r) * inputs,
                    static_cast<std::size_t>(inputs));
        for (std::int64_t b = 0; b < blocks; ++b)
          scales[static_cast<std::size_t>((tile * blocks + b) * 16 + r)] = float_to_half(scale);
      }
      kernels::pack_tile(own.data(), inputs, 4, packed.data() + tile * blocks * 256);
    }
    t.segments = {stream(packed.data(), packed.size()), stream(scales.data(), scales.size() * 2)};
    return constant_slot(std::move(name), std::move(t));
  }
  void run(p::Op op, std::vector<std::int32_t> inputs, std::vector<std::int32_t> outputs,
           std::vector<p::Attribute> attributes = {}) {
    region().instructions.push_back({op,
                                     "i" + std::to_string(region().instructions.size()),
                                     std::move(inputs),
                                     std::move(outputs),
                                     std::move(attributes),
                                     {}});
  }
  void output(std::int32_t slot) { region().outputs.push_back(slot); }

  p::Program& program() { return bundle.program; }
  p::Region& region() { return program().regions[0]; }

  // A constant of any layout, whose segments are `stream`s.
  std::int32_t constant_slot(std::string name, p::Tensor tensor) {
    std::vector<p::Size> dims;
    for (const std::int64_t dim : tensor.dims) dims.push_back(number(dim));
    const p::Type type = tensor.layout == p::Layout::kTiles ? p::Type::kF32 : tensor.type;
    program().tensors.push_back(std::move(tensor));
    return add(std::move(name), p::Slot::Kind::kConstant, type, std::move(dims),
               static_cast<std::int32_t>(program().tensors.size()) - 1);
  }
  std::int32_t stream(const void* data, std::size_t size) {
    struct alignas(64) Line {
      std::byte bytes[64];
    };
    auto memory = std::make_shared<std::vector<Line>>(size / 64 + 1);
    if (size > 0) std::memcpy(memory->data(), data, size);
    bundle.keep.push_back(memory);
    bundle.segments.push_back({memory->data()->bytes, size});
    streams.push_back(memory->data()->bytes);
    program().segments.push_back({0, size, {}});
    return static_cast<std::int32_t>(streams.size()) - 1;
  }

  // The whole file.
  std::vector<std::byte> file() {
    std::vector<std::byte> out(p::Preamble::kBytes);
    p::Header header;
    header.program = program();
    for (std::size_t s = 0; s < streams.size(); ++s)
      place(out, header.program.segments[s], bundle.segments[s]);
    if (!tokenizer.empty()) {
      header.tokenizer_segment = static_cast<std::int32_t>(header.program.segments.size());
      header.program.segments.emplace_back();
      place(out, header.program.segments.back(), std::as_bytes(std::span(tokenizer)));
    }
    header.chat_template = bundle.chat_template;
    header.generation = bundle.generation;
    header.metadata = bundle.metadata;
    header.parameters = bundle.parameters;
    return seal(std::move(out), header);
  }
  // Puts a header behind the segments, and the preamble in front, whatever the header says.
  static std::vector<std::byte> seal(std::vector<std::byte> out, const p::Header& header) {
    out.resize(round_up<std::size_t>(out.size(), 64));
    const std::vector<std::byte> bytes = p::write_header(header);
    p::Preamble preamble{out.size(), bytes.size(), out.size() + bytes.size(), digest_of(bytes)};
    out.insert(out.end(), bytes.begin(), bytes.end());
    const auto front = preamble.to_bytes();
    std::copy(front.begin(), front.end(), out.begin());
    return out;
  }

  p::Bundle bundle;
  std::string tokenizer;

 private:
  std::int32_t add(std::string name, p::Slot::Kind kind, p::Type type, std::vector<p::Size> dims,
                   std::int32_t tensor = -1) {
    program().slots.push_back({std::move(name), kind, type, std::move(dims), false, tensor});
    return static_cast<std::int32_t>(program().slots.size()) - 1;
  }
  static void place(std::vector<std::byte>& out, p::Segment& segment,
                    std::span<const std::byte> bytes) {
    out.resize(round_up<std::size_t>(out.size(), 64));
    segment = {out.size(), bytes.size(), digest_of(bytes)};
    out.insert(out.end(), bytes.begin(), bytes.end());
  }
  std::vector<const std::byte*> streams;
};

// y = x W^T + b over any number of rows; W [20, 40] of 4-bit codes (7 i + 3 k) mod 16, scale 0.25;
// b[i] = i / 2.
inline ProgramBuilder tiny_linear() {
  ProgramBuilder b;
  const std::int64_t rows = b.add_symbol("rows");
  const std::int32_t x = b.input("x", p::Type::kF32, {symbol(rows), number(40)});
  std::vector<std::uint8_t> codes(20 * 40);
  std::vector<float> bias(20);
  for (std::size_t i = 0; i < 20; ++i) {
    bias[i] = static_cast<float>(i) / 2;
    for (std::size_t k = 0; k < 40; ++k)
      codes[i * 40 + k] = static_cast<std::uint8_t>((7 * i + 3 * k) % 16);
  }
  const std::int32_t w = b.tiles("weight", 20, 40, codes, 0.25f);
  const std::int32_t c = b.constant("bias", p::Type::kF32, {20}, bias);
  const std::int32_t y = b.activation("y", p::Type::kF32, {symbol(rows), number(20)});
  b.run(p::Op::kLinear, {x, w, c}, {y}, {ints("activation", {0})});
  b.output(y);
  b.tokenizer = "not a tokenizer";
  b.bundle.chat_template = "{{ messages }}";
  b.bundle.generation = {{2, 3}, 1, 0.5f, 40, 0.9f, 1.1f};
  b.bundle.metadata = {{"recipe", "version: 1\n"}, {"tool", "thimble"}};
  b.bundle.parameters = 820;
  return b;
}

// A decoder of one layer, 2 heads over 1 KV head of 8, 16 wide, 24 tokens, with whole numbers'
// worth of weights; with a cache, or without one (then every call sees its own tokens alone).
inline ProgramBuilder tiny_decoder(bool cached) {
  using p::Type;
  ProgramBuilder b;
  const p::Size seq = symbol(b.add_symbol("seq")), wanted = symbol(b.add_symbol("n"));
  const std::int32_t ids = b.input("input_ids", Type::kI64, {number(1), seq});
  const std::int32_t positions = b.input("position_ids", Type::kI64, {number(1), seq});
  const std::int32_t rows = b.input("logit_positions", Type::kI64, {wanted});
  auto weights = [&](std::string name, std::int64_t n, std::int64_t k, std::uint32_t seed) {
    std::vector<float> values(static_cast<std::size_t>(n * k));
    for (float& v : values) {
      seed = seed * 1664525u + 1013904223u;
      v = (static_cast<float>(seed >> 16) / 65536.0f - 0.5f) * 0.7f;
    }
    return b.constant(std::move(name), Type::kF32, {n, k}, values);
  };
  auto hidden = [&](std::string name, std::int64_t width) {
    return b.activation(std::move(name), Type::kF32, {number(1), seq, number(width)});
  };
  const std::int32_t table = weights("embedding", 24, 16, 1);
  const std::int32_t x = hidden("x", 16), normed = hidden("normed", 16);
  b.run(p::Op::kGather, {table, ids}, {x}, {ints("axis", {0})});
  b.run(p::Op::kRmsNorm, {x, b.constant("norm", Type::kF32, {16}, std::vector<float>(16, 1.25f))},
        {normed}, {real("epsilon", 1e-5f), ints("width", {16})});
  const std::int32_t q = hidden("q", 16), k = hidden("k", 8), v = hidden("v", 8);
  b.run(p::Op::kLinear,
        {normed, weights("wq", 16, 16, 2), -1, weights("wk", 8, 16, 3), -1, weights("wv", 8, 16, 4),
         -1},
        {q, k, v}, {ints("activation", {0})});
  const std::int32_t as_float = b.activation("positions", Type::kF32, {number(1), seq});
  b.run(p::Op::kCast, {positions}, {as_float});
  const std::int32_t column = b.activation("column", Type::kF32, {number(1), seq, number(1)});
  b.run(p::Op::kReshape, {as_float}, {column});
  auto angles = [&](std::string name) {
    return b.activation(std::move(name), Type::kF32, {number(1), seq, number(4)});
  };
  const std::int32_t angle = angles("angle"), cosine = angles("cos"), sine = angles("sin");
  b.run(p::Op::kBinary,
        {column,
         b.constant("frequencies", Type::kF32, {4}, std::vector<float>{1.0f, 0.3f, 0.1f, 0.03f})},
        {angle}, {ints("function", {2})});
  b.run(p::Op::kUnary, {angle}, {cosine}, {ints("function", {16})});
  b.run(p::Op::kUnary, {angle}, {sine}, {ints("function", {15})});
  const std::int32_t q_turned = hidden("q_turned", 16), k_turned = hidden("k_turned", 8);
  b.run(p::Op::kRotary, {q, cosine, sine}, {q_turned}, {ints("heads", {2})});
  b.run(p::Op::kRotary, {k, cosine, sine}, {k_turned}, {ints("heads", {1})});
  const std::int32_t mixed = hidden("mixed", 16);
  std::vector<std::int32_t> inputs = {q_turned, k_turned, v}, outputs = {mixed};
  if (cached) {
    const p::Size past = symbol(b.add_symbol("past"));
    for (const char* name : {"key.0", "value.0"}) {
      const std::int32_t in =
          b.state(std::string("past_") + name, Type::kF32, {number(1), number(1), past, number(8)});
      const std::int32_t out = b.activation(std::string("present_") + name, Type::kF32,
                                            {number(1), number(1), sum(past, seq), number(8)});
      if (inputs.size() == 3) inputs.push_back(-1);
      inputs.push_back(in);
      outputs.push_back(out);
      b.program().states.push_back({p::State::Kind::kCache, in, out, 2, 1, 8, 0});
    }
    b.program().max_context = 1200;
  }
  b.run(p::Op::kAttention, inputs, outputs,
        {ints("q_heads", {2}), ints("kv_heads", {1}), ints("causal", {1}), real("scale", 0.35f)});
  const std::int32_t added = hidden("added", 16), gated = hidden("gated", 16);
  b.run(p::Op::kBinary, {x, mixed}, {added}, {ints("function", {0})});
  b.run(p::Op::kGatedUnary, {added, mixed}, {gated}, {ints("function", {1})});
  const std::int32_t last = b.activation("last", Type::kF32, {number(1), wanted, number(16)});
  b.run(p::Op::kGather, {gated, rows}, {last}, {ints("axis", {1})});
  const std::int32_t logits = b.activation("logits", Type::kF32, {number(1), wanted, number(24)});
  b.run(p::Op::kLinear, {last, table, -1}, {logits}, {ints("activation", {0})});
  b.output(logits);
  b.program().task = p::Task::kGenerate;
  return b;
}

}  // namespace thimble::test
