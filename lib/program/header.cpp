#include "program/header.h"

#include <cstring>

#include "support/cursor.h"
#include "thimble_generated.h"

namespace thimble::program {
namespace {

using flatbuffers::FlatBufferBuilder;
using flatbuffers::Offset;

constexpr std::uint8_t kSameCache = 255;  // of values: as the keys'

// What goes into a table is made before the table, one statement each: the order in which a call
// evaluates its arguments differs between compilers, and with it the bytes would.

// --- writing

std::vector<std::int64_t> flat_steps(const Size& size) {
  std::vector<std::int64_t> out;
  for (const SizeStep& step : size) {
    out.push_back(static_cast<std::int64_t>(step.op));
    out.push_back(step.value);
  }
  return out;
}

template <class Table, class Items, class Make>
Offset<flatbuffers::Vector<Offset<Table>>> list_of(FlatBufferBuilder& b, const Items& items,
                                                   Make make) {
  std::vector<Offset<Table>> out;
  for (const auto& item : items) out.push_back(make(item));
  return b.CreateVector(out);
}

Offset<fb::Slot> pack(FlatBufferBuilder& b, const Slot& slot) {
  const auto dims = list_of<fb::Size>(b, slot.dims, [&](const Size& size) {
    return fb::CreateSize(b, b.CreateVector(flat_steps(size)));
  });
  return fb::CreateSlot(b, b.CreateString(slot.name), static_cast<std::uint8_t>(slot.kind),
                        static_cast<std::uint8_t>(slot.type), dims, slot.dynamic, slot.tensor);
}

Offset<fb::Tensor> pack(FlatBufferBuilder& b, const Tensor& t) {
  const auto segments = b.CreateVector(t.segments);
  const auto dims = b.CreateVector(t.dims);
  const auto name = b.CreateString(t.name);
  const auto table =
      t.table.empty() ? Offset<flatbuffers::Vector<std::int8_t>>() : b.CreateVector(t.table);
  return fb::CreateTensor(b, name, static_cast<std::uint8_t>(t.layout),
                          static_cast<std::uint8_t>(t.type), dims, t.rows, t.inputs, t.axis, t.bits,
                          t.group_size, static_cast<std::uint8_t>(t.zero), t.constant_zero,
                          segments, t.super_size, t.sub_bits, t.sub_zero, table, t.scale_exponent);
}

Offset<fb::Segment> pack(FlatBufferBuilder& b, const Segment& s) {
  return fb::CreateSegment(b, s.offset, s.size,
                           b.CreateVector(s.digest.bytes.data(), s.digest.bytes.size()));
}

Offset<fb::Attribute> pack(FlatBufferBuilder& b, const Attribute& a) {
  const auto floats = b.CreateVector(a.floats);
  const auto ints = b.CreateVector(a.ints);
  const auto text = a.text.empty() ? Offset<flatbuffers::String>() : b.CreateString(a.text);
  const auto name = b.CreateString(a.name);
  return fb::CreateAttribute(b, name, ints, floats, text);
}

Offset<fb::Instruction> pack(FlatBufferBuilder& b, const Instruction& i) {
  const auto attributes = list_of<fb::Attribute>(
      b, i.attributes, [&](const Attribute& attribute) { return pack(b, attribute); });
  const auto regions = b.CreateVector(i.regions);
  const auto outputs = b.CreateVector(i.outputs);
  const auto inputs = b.CreateVector(i.inputs);
  const auto name = b.CreateString(i.name);
  return fb::CreateInstruction(b, static_cast<std::uint16_t>(i.op), name, inputs, outputs,
                               attributes, regions);
}

Offset<fb::Region> pack(FlatBufferBuilder& b, const Region& region) {
  const auto instructions = list_of<fb::Instruction>(
      b, region.instructions, [&](const Instruction& i) { return pack(b, i); });
  const auto outputs = b.CreateVector(region.outputs);
  const auto inputs = b.CreateVector(region.inputs);
  return fb::CreateRegion(b, inputs, outputs, instructions);
}

// --- reading

// FlatBuffers' verifier checks neither that fields are present nor what enumerations hold: absent
// vectors and strings read as empty here, and `verify` checks the numbers.
std::string text(const flatbuffers::String* s) { return s == nullptr ? std::string() : s->str(); }

// Elements may lie on any address: the verifier doesn't check those of vectors.
template <class T, class E>
std::vector<T> values(const flatbuffers::Vector<E>* vector) {
  std::vector<T> out;
  if (vector == nullptr) return out;
  for (std::size_t i = 0; i < vector->size(); ++i) {
    E element;
    std::memcpy(&element, vector->Data() + i * sizeof(E), sizeof(E));
    out.push_back(static_cast<T>(flatbuffers::EndianScalar(element)));
  }
  return out;
}

template <class T, class Vector, class Read>
Status read_list(const Vector* vector, std::vector<T>& out, Read read) {
  if (vector == nullptr) return ok();
  for (const auto* item : *vector) {
    if (item == nullptr) return invalid_file("the header holds an empty entry");
    THIMBLE_ASSIGN(T one, read(*item));
    out.push_back(std::move(one));
  }
  return ok();
}

Expected<Size> unpack(const fb::Size& size) {
  Size out;
  const auto flat = values<std::int64_t>(size.steps());
  if (flat.size() % 2 != 0 || flat.size() > 4096)
    return invalid_file("a size in the header is damaged");
  for (std::size_t i = 0; i < flat.size(); i += 2) {
    if (flat[i] < 0 || flat[i] > static_cast<std::int64_t>(SizeStep::Op::kMax))
      return invalid_file("a size in the header is damaged");
    out.push_back({static_cast<SizeStep::Op>(flat[i]), flat[i + 1]});
  }
  return out;
}

Expected<Slot> unpack(const fb::Slot& slot) {
  Slot out{.name = text(slot.name()),
           .kind = static_cast<Slot::Kind>(slot.kind()),
           .type = static_cast<Type>(slot.type()),
           .dims = {},
           .dynamic = slot.dynamic(),
           .tensor = slot.tensor()};
  THIMBLE_TRY(read_list(slot.dims(), out.dims, [](const fb::Size& size) { return unpack(size); }));
  return out;
}

Expected<Tensor> unpack(const fb::Tensor& t) {
  Tensor out;
  out.name = text(t.name());
  out.layout = static_cast<Layout>(t.layout());
  out.type = static_cast<Type>(t.type());
  out.dims = values<std::int64_t>(t.dims());
  out.rows = t.rows();
  out.inputs = t.inputs();
  out.axis = t.axis();
  out.bits = t.bits();
  out.group_size = t.group_size();
  out.zero = static_cast<ZeroKind>(t.zero());
  out.constant_zero = t.constant_zero();
  out.super_size = t.super_size();
  out.sub_bits = t.sub_bits();
  out.sub_zero = t.sub_zero();
  out.scale_exponent = t.scale_exponent();
  out.table = values<std::int8_t>(t.table());
  out.segments = values<std::int32_t>(t.segments());
  return out;
}

Expected<Segment> unpack(const fb::Segment& s) {
  Segment out{.offset = s.offset(), .size = s.size(), .digest = {}};
  if (s.digest() == nullptr || s.digest()->size() != out.digest.bytes.size())
    return invalid_file("a segment has no digest");
  std::memcpy(out.digest.bytes.data(), s.digest()->data(), out.digest.bytes.size());
  return out;
}

Expected<Attribute> unpack(const fb::Attribute& a) {
  return Attribute{text(a.name()), values<std::int64_t>(a.ints()), values<float>(a.floats()),
                   text(a.text())};
}

Expected<Instruction> unpack(const fb::Instruction& i) {
  Instruction out{.op = static_cast<Op>(i.op()),
                  .name = text(i.name()),
                  .inputs = values<std::int32_t>(i.inputs()),
                  .outputs = values<std::int32_t>(i.outputs()),
                  .attributes = {},
                  .regions = values<std::int32_t>(i.regions())};
  THIMBLE_TRY(
      read_list(i.attributes(), out.attributes, [](const fb::Attribute& a) { return unpack(a); }));
  return out;
}

Expected<Region> unpack(const fb::Region& r) {
  Region out{.inputs = values<std::int32_t>(r.inputs()),
             .outputs = values<std::int32_t>(r.outputs()),
             .instructions = {}};
  THIMBLE_TRY(read_list(r.instructions(), out.instructions,
                        [](const fb::Instruction& i) { return unpack(i); }));
  return out;
}

Expected<State> unpack(const fb::State& s) {
  return State{static_cast<State::Kind>(s.kind()),
               s.input(),
               s.output(),
               s.axis(),
               s.heads(),
               s.head_dim(),
               s.window()};
}

Generation unpack(const fb::Generation& g) {
  return {values<std::int64_t>(g.eos()), g.bos(), g.temperature(), g.top_k(), g.top_p(),
          g.repetition_penalty()};
}

}  // namespace

std::array<std::byte, Preamble::kBytes> Preamble::to_bytes() const {
  std::array<std::byte, kBytes> out{};
  std::size_t at = 0;
  auto put = [&](const void* from, std::size_t size) {
    std::memcpy(out.data() + at, from, size);
    at += size;
  };
  const std::uint32_t version = kVersion, reserved = 0;
  put(kMagic.data(), kMagic.size());
  put(&version, sizeof version);
  put(&reserved, sizeof reserved);
  put(&header_offset, sizeof header_offset);
  put(&header_size, sizeof header_size);
  put(&file_size, sizeof file_size);
  put(header_digest.bytes.data(), header_digest.bytes.size());
  return out;
}

Expected<Preamble> Preamble::parse(std::span<const std::byte> file) {
  Cursor cursor(file);
  THIMBLE_ASSIGN(const auto magic, cursor.read_text(kMagic.size()));
  if (magic != std::string_view(kMagic.data(), kMagic.size()))
    return invalid_file("not a .thimble file: it starts otherwise").at_offset(0);
  THIMBLE_ASSIGN(const auto version, cursor.read<std::uint32_t>());
  if (version != kVersion) {
    return unsupported("format version " + std::to_string(version) +
                       " is not known; this program reads version " + std::to_string(kVersion))
        .at_offset(8)
        .fix("use a newer version of thimble, or make the file again");
  }
  THIMBLE_TRY(cursor.skip(4));
  Preamble out;
  THIMBLE_ASSIGN(out.header_offset, cursor.read<std::uint64_t>());
  THIMBLE_ASSIGN(out.header_size, cursor.read<std::uint64_t>());
  THIMBLE_ASSIGN(out.file_size, cursor.read<std::uint64_t>());
  THIMBLE_ASSIGN(const auto digest, cursor.read_bytes(out.header_digest.bytes.size()));
  std::memcpy(out.header_digest.bytes.data(), digest.data(), digest.size());
  if (out.file_size != file.size()) {
    return invalid_file("the file has " + std::to_string(file.size()) + " bytes, not the " +
                        std::to_string(out.file_size) + " that it was written with")
        .fix("copy it again: it was cut short or changed");
  }
  if (out.header_size > kMaxHeaderBytes || out.header_offset % 8 != 0 ||
      out.header_offset < kBytes || out.header_offset > out.file_size ||
      out.header_size > out.file_size - out.header_offset) {
    return invalid_file("the header lies outside the file").at_offset(16);
  }
  return out;
}

std::vector<std::byte> write_header(const Header& header) {
  FlatBufferBuilder b(1 << 16);
  const Program& p = header.program;
  const auto symbols = b.CreateVectorOfStrings(p.symbols);
  const auto slots = list_of<fb::Slot>(b, p.slots, [&](const Slot& s) { return pack(b, s); });
  const auto tensors =
      list_of<fb::Tensor>(b, p.tensors, [&](const Tensor& t) { return pack(b, t); });
  const auto segments =
      list_of<fb::Segment>(b, p.segments, [&](const Segment& s) { return pack(b, s); });
  const auto regions =
      list_of<fb::Region>(b, p.regions, [&](const Region& r) { return pack(b, r); });
  const auto states = list_of<fb::State>(b, p.states, [&](const State& s) {
    return fb::CreateState(b, static_cast<std::uint8_t>(s.kind), s.input, s.output, s.axis, s.heads,
                           s.head_dim, s.window);
  });
  const Generation& g = header.generation;
  const auto generation =
      fb::CreateGeneration(b, b.CreateVector(g.eos_token_ids), g.bos_token_id, g.temperature,
                           g.top_k, g.top_p, g.repetition_penalty);
  const auto metadata = list_of<fb::Pair>(b, header.metadata, [&](const auto& pair) {
    const auto value = b.CreateString(pair.second);
    const auto key = b.CreateString(pair.first);
    return fb::CreatePair(b, key, value);
  });
  const auto chat_template = b.CreateString(header.chat_template);
  const auto root = fb::CreateHeader(
      b, symbols, slots, tensors, segments, regions, states, static_cast<std::uint8_t>(p.task),
      static_cast<std::uint8_t>(p.cache), p.max_context, header.tokenizer_segment, chat_template,
      generation, metadata, header.parameters,
      p.value_cache ? static_cast<std::uint8_t>(*p.value_cache) : kSameCache);
  b.Finish(root, "THBL");
  const auto* bytes = reinterpret_cast<const std::byte*>(b.GetBufferPointer());
  return {bytes, bytes + b.GetSize()};
}

Expected<Header> read_header(std::span<const std::byte> bytes, std::uint64_t file_size) {
  const auto* raw = reinterpret_cast<const std::uint8_t*>(bytes.data());
  flatbuffers::Verifier verifier(raw, bytes.size(), 64, 10'000'000);
  if (bytes.size() < 16 || !fb::VerifyHeaderBuffer(verifier))
    return invalid_file("the header is damaged");
  const fb::Header& root = *fb::GetHeader(raw);
  Header out;
  if (root.symbols() != nullptr) {
    for (const auto* symbol : *root.symbols()) out.program.symbols.push_back(text(symbol));
  }
  THIMBLE_TRY(
      read_list(root.slots(), out.program.slots, [](const fb::Slot& s) { return unpack(s); }));
  THIMBLE_TRY(read_list(root.tensors(), out.program.tensors,
                        [](const fb::Tensor& t) { return unpack(t); }));
  THIMBLE_TRY(read_list(root.segments(), out.program.segments,
                        [](const fb::Segment& s) { return unpack(s); }));
  THIMBLE_TRY(read_list(root.regions(), out.program.regions,
                        [](const fb::Region& r) { return unpack(r); }));
  THIMBLE_TRY(
      read_list(root.states(), out.program.states, [](const fb::State& s) { return unpack(s); }));
  THIMBLE_TRY(read_list(root.metadata(), out.metadata,
                        [](const fb::Pair& p) -> Expected<std::pair<std::string, std::string>> {
                          return std::pair(text(p.key()), text(p.value()));
                        }));
  out.program.task = static_cast<Task>(root.task());
  out.program.cache = static_cast<CacheType>(root.cache());
  if (root.value_cache() != kSameCache)
    out.program.value_cache = static_cast<CacheType>(root.value_cache());
  out.program.max_context = root.max_context();
  out.tokenizer_segment = root.tokenizer_segment();
  out.chat_template = text(root.chat_template());
  if (root.generation() != nullptr) out.generation = unpack(*root.generation());
  out.parameters = root.parameters();
  if (out.tokenizer_segment < -1 ||
      out.tokenizer_segment >= static_cast<std::int32_t>(out.program.segments.size())) {
    return invalid_file("the tokenizer's segment isn't there");
  }
  THIMBLE_TRY(verify(out.program, file_size));
  return out;
}

}  // namespace thimble::program
