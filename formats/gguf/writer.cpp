#include "formats/gguf/writer.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "formats/gguf/keys.h"
#include "formats/gguf/pack.h"
#include "formats/scaled.h"
#include "ir/match.h"
#include "ir/turned.h"
#include "support/atomic_file.h"
#include "support/checked.h"
#include "support/system.h"

namespace thimble::formats {
namespace {

using gguf::Architecture;
using gguf::BlockType;

constexpr std::uint64_t kAlignment = 32;
constexpr std::size_t kChunkBytes = 8u << 20;

struct Output {
  std::string name;
  ir::Weight weight;
  const BlockType* type = nullptr;
  std::int64_t head_rows = 0;
  std::uint64_t size = 0;
};

Expected<const Architecture*> architecture_of(const ir::Model& model) {
  std::string known;
  for (const Architecture& architecture : gguf::kArchitectures) {
    if (architecture.huggingface == model.architecture) return &architecture;
    known += (known.empty() ? "" : ", ") + std::string(architecture.huggingface);
  }
  const std::string what =
      model.architecture.empty() ? "a graph of no architecture" : "'" + model.architecture + "'";
  return unsupported("GGUF files are not written for " + what + "; supported are " + known)
      .fix("write a .thimble or .onnx file");
}

Status check_type(const std::string& type) {
  for (const char* known : {"", "f32", "f16", "q8_0", "q4_0"}) {
    if (type == known) return ok();
  }
  return Error(ErrorCode::kUsage, "no GGUF type '" + type + "'; types are f32, f16, q8_0, q4_0");
}

// The weights that the graph uses, in the order of its nodes.
std::vector<ir::WeightId> used_weights(const ir::Model& model) {
  std::vector<ir::WeightId> out;
  std::set<ir::WeightId> seen;
  for (const ir::NodeId id : model.graph.order()) {
    for (const ir::ValueId input : model.graph.node(id).inputs) {
      if (!input.valid()) continue;
      const ir::WeightId weight = model.graph.value(input).weight;
      if (weight.valid() && seen.insert(weight).second) out.push_back(weight);
    }
  }
  return out;
}

// Constants that builders make: shapes, scalars, frequencies. GGUF's readers make their own.
bool made_up(const ir::Weight& weight) {
  return weight.source_parameters == 0 &&
         (weight.name.starts_with("constant.") || weight.name.starts_with("model.rotary.") ||
          weight.name.starts_with("model.local_rotary."));
}

// Weights that their products take as [inputs, outputs].
std::set<ir::WeightId> inputs_first(const ir::Model& model) {
  std::set<ir::WeightId> out;
  for (const ir::NodeId id : model.graph.order()) {
    const auto linear = ir::match_linear(model, id);
    if (linear && linear->axis == 0) out.insert(linear->weight);
  }
  return out;
}

// As GGUF has every product: [outputs, inputs].
Expected<ir::Weight> outputs_first(const ir::Weight& weight) {
  if (weight.encoding.is_dense()) return ir::turned(weight);
  if (weight.encoding.axis != 0 || weight.dims.size() != 2)
    return unsupported("GGUF cannot hold groups across outputs").at_tensor(weight.name);
  ir::Weight out = weight;  // encoded rows are the outputs' already
  out.dims = {weight.dims[1], weight.dims[0]};
  out.encoding.axis = -1;
  return out;
}

// Powers of 2 change exponents alone; another factor is rounded once, which only f32 is fine enough
// for.
Expected<ir::Weight> with_queries_scaled(const ir::Weight& weight, float factor,
                                         const Target& target) {
  THIMBLE_ASSIGN(const BlockType* type, gguf::choose_type(weight, target));
  const bool f32 = weight.encoding.is_dense() && type->dense == ir::DType::kF32;
  int exponent = 0;
  const bool power = std::frexp(factor, &exponent) == 0.5f;
  const bool fits = weight.encoding.scale_type == ir::DType::kF16 ||
                    weight.encoding.scale_type == ir::DType::kF32;
  if (f32 || (power && fits)) return scaled(weight, factor, f32);
  return unsupported("GGUF cannot say this query_pre_attn_scalar, nor can weights of " +
                     weight.scheme() + " that make queries take it in")
      .at_tensor(weight.name)
      .fix("write a .thimble file, safetensors, or, of dense weights, --type f32");
}

Expected<std::vector<Output>> outputs_of(const ir::Model& model, const Architecture& architecture,
                                         const gguf::Network& network, const Target& target) {
  std::vector<Output> out;
  const std::set<ir::WeightId> turn = inputs_first(model);
  for (const ir::WeightId id : used_weights(model)) {
    const ir::Weight& weight = model.weight(id);
    if (made_up(weight)) continue;
    Output output{gguf::to_gguf(weight.name, architecture.naming), weight};
    if (output.name.empty()) {
      return unsupported("GGUF has no place for this tensor")
          .at_tensor(weight.name)
          .fix("leave out the pass that added it, or write a .thimble file");
    }
    if (turn.contains(id)) {
      THIMBLE_ASSIGN(output.weight, outputs_first(weight));
    }
    if (network.query_factor != 1 && weight.name.ends_with(network.query_scales)) {
      THIMBLE_ASSIGN(output.weight,
                     with_queries_scaled(output.weight, network.query_factor, target));
    }
    THIMBLE_ASSIGN(output.type, gguf::choose_type(output.weight, target));
    const bool q = weight.name.find(".q_proj.") != std::string::npos;
    const bool k = weight.name.find(".k_proj.") != std::string::npos;
    if (architecture.interleaved && (q || k)) {
      const std::int64_t heads = q ? network.heads : network.kv_heads;
      if (weight.dims.front() % (2 * heads) != 0) {
        return unsupported("GGUF cannot hold layers of different sizes").at_tensor(weight.name);
      }
      output.head_rows = weight.dims.front() / heads;
    }
    output.size = weight.dims.size() < 2 ? static_cast<std::uint64_t>(weight.element_count()) * 4
                                         : gguf::row_bytes(*output.type, output.weight) *
                                               static_cast<std::uint64_t>(output.weight.rows());
    out.push_back(std::move(output));
  }
  return out;
}

// 0: all f32, 1: f16, 2: Q4_0, 3: Q4_1, 7: Q8_0, 8: Q5_0, 9: Q5_1, 25: IQ4_NL,
// 32: BF16, 37: TQ2_0, 38: MXFP4, 39: NVFP4: of the type that most bytes have.
std::uint32_t file_type(const std::vector<Output>& outputs) {
  std::map<std::uint32_t, std::uint64_t> bytes;
  for (const Output& output : outputs) bytes[output.type->id] += output.size;
  std::uint32_t most = 0;
  for (const auto& [type, size] : bytes) {
    if (size > bytes[most]) most = type;
  }
  switch (most) {
    case 1:
      return 1;
    case 2:
      return 2;
    case 3:
      return 3;
    case 6:
      return 8;
    case 7:
      return 9;
    case 8:
      return 7;
    case 20:
      return 25;
    case 30:
      return 32;
    case 35:
      return 37;
    case 39:
      return 38;
    case 40:
      return 39;
    default:
      return 0;
  }
}

std::string header_of(const gguf::Keys& keys, const std::vector<Output>& outputs,
                      const std::vector<ir::Weight>& factors) {
  std::string out = "GGUF";
  gguf::append_number(out, std::uint32_t{3});
  gguf::append_number(out, static_cast<std::uint64_t>(outputs.size() + factors.size()));
  gguf::append_number(out, keys.count());
  out += keys.bytes();
  std::uint64_t offset = 0;
  const auto entry = [&](const std::string& name, const std::vector<std::int64_t>& dims,
                         std::uint32_t type, std::uint64_t size) {
    gguf::append_text(out, name);
    gguf::append_number(out, static_cast<std::uint32_t>(dims.size()));
    for (auto dim = dims.rbegin(); dim != dims.rend(); ++dim) {
      gguf::append_number(out, static_cast<std::uint64_t>(*dim));
    }
    gguf::append_number(out, type);
    gguf::append_number(out, offset);
    offset += round_up(size, kAlignment);
  };
  for (const Output& output : outputs) {
    entry(output.name, output.weight.dims, output.type->id, output.size);
  }
  for (const ir::Weight& weight : factors) entry(weight.name, weight.dims, 0, weight.byte_size());
  return out;
}

// What a weight's products are to be multiplied by, under its name.
void add_factor(const Output& output, std::vector<ir::Weight>& factors) {
  const float factor = gguf::factor_of(output.weight, *output.type);
  if (factor == 1) return;
  factors.push_back(
      ir::make_dense(gguf::beside(output.name, "scale"), {1}, std::vector<float>{factor}));
}

// All of the file but the tensors' numbers.
struct Plan {
  std::string header;
  std::vector<Output> outputs;
  std::vector<ir::Weight> factors;  // of rotary embeddings, and of weights in NVFP4
  std::string note;
};

Expected<Plan> plan_of(const ir::Model& model, const Target& target) {
  THIMBLE_TRY(check_type(target.type));
  THIMBLE_ASSIGN(const Architecture* architecture, architecture_of(model));
  gguf::Keys keys;
  keys.text("general.architecture", architecture->gguf);
  keys.text("general.name", std::filesystem::path(model.source_path).stem().string());
  keys.integer("general.alignment", kAlignment);
  THIMBLE_ASSIGN(gguf::Network network, gguf::add_network(model, *architecture, keys));
  Plan plan;
  THIMBLE_ASSIGN(plan.outputs, outputs_of(model, *architecture, network, target));
  keys.integer("general.file_type", file_type(plan.outputs));
  keys.integer("general.quantization_version", 2);
  THIMBLE_TRY(gguf::add_tokenizer(model, network.vocabulary, keys));
  for (const auto& [key, value] : target.provenance) keys.text(key, value);
  plan.factors = std::move(network.rotary_factors);
  for (const Output& output : plan.outputs) add_factor(output, plan.factors);
  plan.note = std::move(network.note);
  plan.header = header_of(keys, plan.outputs, plan.factors);
  return plan;
}

Status write_vector(const Output& output, AtomicFile& file) {
  THIMBLE_ASSIGN(const std::vector<float> values, ir::read_floats(output.weight));
  std::vector<float> out = values;
  const auto head = static_cast<std::size_t>(output.head_rows);
  for (std::size_t row = 0; head > 0 && row < out.size(); ++row) {
    const std::size_t within = row % head;
    out[row] = values[row - within + (within % 2) * (head / 2) + within / 2];
  }
  return file.append(std::as_bytes(std::span(out)));
}

Status write_matrix(const Output& output, ThreadPool& pool, Progress& progress, AtomicFile& file) {
  const ir::Weight& weight = output.weight;
  const std::uint64_t bytes = std::max<std::uint64_t>(1, gguf::row_bytes(*output.type, weight));
  std::int64_t step = std::max<std::int64_t>(1, static_cast<std::int64_t>(kChunkBytes / bytes));
  if (output.head_rows > 0) step = round_up(step, output.head_rows);
  const std::int64_t rows = weight.rows();
  const auto threads = static_cast<std::size_t>(pool.threads());
  for (std::int64_t first = 0; first < rows; first += step * pool.threads()) {
    THIMBLE_TRY(system::check_interrupt());
    std::vector<std::vector<std::byte>> parts(threads);
    std::vector<Status> results(threads);
    pool.parallel_each(threads, 1, [&](std::size_t i) {
      const std::int64_t begin = first + static_cast<std::int64_t>(i) * step;
      const std::int64_t end = std::min(rows, begin + step);
      if (begin >= end) return;
      results[i] = gguf::append_rows(weight, *output.type, begin, end, output.head_rows, parts[i]);
    });
    for (std::size_t i = 0; i < threads; ++i) {
      if (!results[i]) return std::move(results[i]);
      THIMBLE_TRY(file.append(parts[i]));
      progress.advance(static_cast<double>(parts[i].size()) / 1e6);
    }
  }
  return ok();
}

// What a user would not expect of the forms that were chosen.
void tell_forms(const std::vector<Output>& outputs, Progress& progress) {
  std::map<std::string, int> counts;
  for (const Output& output : outputs) {
    const ir::Encoding& e = output.weight.encoding;
    if (e.is_dense() || output.weight.dims.size() < 2) continue;
    const std::string type(output.type->name);
    if (output.type->encoding == nullptr) {
      ++counts["as " + type + ": GGUF has no block type for " + e.to_string()];
    } else if (output.type->encoding().bits > e.bits) {
      ++counts["as " + type + " instead of " + std::to_string(e.bits) + " bits: the same numbers"];
    }
  }
  for (const auto& [what, count] : counts)
    progress.message("note: " + std::to_string(count) + " tensors are written " + what);
}

}  // namespace

Status check_gguf(const ir::Model& model, const Target& target) {
  THIMBLE_TRY(plan_of(model, target));
  return ok();
}

Expected<WrittenBytes> gguf_bytes(const ir::Model& model, const Target& target) {
  THIMBLE_ASSIGN(const Plan plan, plan_of(model, target));
  WrittenBytes bytes{round_up<std::uint64_t>(plan.header.size(), kAlignment), 0};
  const auto add = [&](std::uint64_t size) {
    bytes.all += round_up(size, kAlignment);
    bytes.weights += size;
  };
  for (const Output& output : plan.outputs) add(output.size);
  for (const ir::Weight& weight : plan.factors) add(weight.byte_size());
  return bytes;
}

Status write_gguf(const ir::Model& model, const std::string& path, const Target& target,
                  ThreadPool& pool, Progress& progress) {
  THIMBLE_ASSIGN(const Plan plan, plan_of(model, target));
  THIMBLE_ASSIGN(const auto file, AtomicFile::create(path));
  THIMBLE_TRY(file->append(plan.header));
  THIMBLE_TRY(file->pad_to(kAlignment));
  double total = 0;
  for (const Output& output : plan.outputs) total += static_cast<double>(output.size);
  if (!target.decode) tell_forms(plan.outputs, progress);
  if (!plan.note.empty()) progress.message("note: " + plan.note);
  progress.begin("writing", total / 1e6, "MB");
  for (const Output& output : plan.outputs) {
    THIMBLE_TRY(output.weight.dims.size() < 2 ? write_vector(output, *file)
                                              : write_matrix(output, pool, progress, *file));
    THIMBLE_TRY(file->pad_to(kAlignment));
  }
  progress.end();
  for (const ir::Weight& weight : plan.factors) {
    THIMBLE_ASSIGN(const ir::Rows rows, weight.source->read(0, weight.rows()));
    THIMBLE_TRY(file->append(rows.dense));
    THIMBLE_TRY(file->pad_to(kAlignment));
  }
  return file->commit();
}

}  // namespace thimble::formats
