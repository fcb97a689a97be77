#include "conformance/cases.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <sstream>

#include "formats/all.h"
#include "formats/onnx/reader.h"
#include "formats/onnx/tensors.h"
#include "ir/decode.h"
#include "lower/lower.h"
#include "runtime/session.h"
#include "support/half.h"

namespace thimble::conformance {
namespace {

namespace fs = std::filesystem;

// A tensor of the test as the runtime takes it: narrow types a byte an element.
struct Sample {
  program::Type type = program::Type::kF32;
  std::vector<std::int64_t> dims;
  std::vector<std::byte> bytes;

  runtime::TensorView view() const { return {type, dims, bytes.data()}; }
};

Expected<Sample> read_sample(const std::string& path) {
  THIMBLE_ASSIGN(const ir::Weight weight, formats::onnx::read_tensor(path));
  Sample out{static_cast<program::Type>(weight.dtype), weight.dims, {}};
  THIMBLE_ASSIGN(const ir::Rows rows, weight.source->read(0, weight.rows()));
  if (ir::dtype_bits(weight.dtype) >= 8) {
    out.bytes.assign(rows.dense.begin(), rows.dense.end());
  } else {
    out.bytes.resize(static_cast<std::size_t>(weight.element_count()));
    ir::unpack_narrow(weight.dtype, rows.dense, out.bytes);
  }
  return out;
}

template <class T>
T load(const void* data, std::int64_t i) {
  T value;
  std::memcpy(&value, static_cast<const std::byte*>(data) + static_cast<std::size_t>(i) * sizeof(T),
              sizeof(T));
  return value;
}

double number(program::Type type, const void* data, std::int64_t i) {
  using program::Type;
  switch (type) {
    case Type::kF32:
      return load<float>(data, i);
    case Type::kF64:
      return load<double>(data, i);
    case Type::kF16:
      return half_to_float(load<std::uint16_t>(data, i));
    case Type::kBF16:
      return bfloat_to_float(load<std::uint16_t>(data, i));
    case Type::kI64:
      return static_cast<double>(load<std::int64_t>(data, i));
    case Type::kU64:
      return static_cast<double>(load<std::uint64_t>(data, i));
    case Type::kI32:
      return load<std::int32_t>(data, i);
    case Type::kU32:
      return load<std::uint32_t>(data, i);
    case Type::kI16:
      return load<std::int16_t>(data, i);
    case Type::kU16:
      return load<std::uint16_t>(data, i);
    case Type::kI8:
      return load<std::int8_t>(data, i);
    default:
      return load<std::uint8_t>(data, i);  // narrow types: equal bytes, equal numbers
  }
}

std::string dims_text(const std::vector<std::int64_t>& dims) {
  std::string out = "[";
  for (const std::int64_t dim : dims) out += (out.size() > 1 ? ", " : "") + std::to_string(dim);
  return out + "]";
}

// Empty when they agree.
std::string difference(const runtime::TensorView& got, const Sample& wanted,
                       const Tolerance& tolerance) {
  if (got.type != wanted.type) {
    return "type " + std::string(program::type_name(got.type)) + " instead of " +
           std::string(program::type_name(wanted.type));
  }
  if (got.dims != wanted.dims)
    return "shape " + dims_text(got.dims) + " instead of " + dims_text(wanted.dims);
  for (std::int64_t i = 0; i < got.count(); ++i) {
    const double a = number(got.type, got.data, i);
    const double b = number(wanted.type, wanted.bytes.data(), i);
    if (std::isnan(a) && std::isnan(b)) continue;
    if (a == b || std::fabs(a - b) <= tolerance.absolute + tolerance.relative * std::fabs(b))
      continue;
    return "element " + std::to_string(i) + " is " + std::to_string(a) + ", not " +
           std::to_string(b);
  }
  return "";
}

Expected<std::vector<Sample>> read_samples(const fs::path& set, const std::string& kind) {
  std::vector<Sample> out;
  for (std::size_t i = 0;; ++i) {
    const fs::path path = set / (kind + "_" + std::to_string(i) + ".pb");
    if (!fs::exists(path)) return out;
    THIMBLE_ASSIGN(Sample sample, read_sample(path.string()));
    out.push_back(std::move(sample));
  }
}

// Empty when every output agrees.
Expected<std::string> run_on(runtime::Session& session, const std::vector<Sample>& inputs,
                             const std::vector<Sample>& wanted, const Tolerance& tolerance) {
  std::vector<runtime::TensorView> views;
  for (const Sample& input : inputs) views.push_back(input.view());
  THIMBLE_TRY(session.run(views));
  if (session.outputs().size() != wanted.size())
    return std::to_string(session.outputs().size()) + " outputs instead of " +
           std::to_string(wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const std::string why = difference(session.outputs()[i], wanted[i], tolerance);
    if (!why.empty()) return "output " + std::to_string(i) + ": " + why;
  }
  return std::string();
}

// Checks a program as a reader would, its segments laid one behind the other.
Status verify_placed(program::Program program) {
  std::uint64_t offset = 0;
  for (program::Segment& segment : program.segments) {
    segment.offset = offset;
    offset += (segment.size + 63) / 64 * 64;
  }
  return program::verify(program, offset);
}

Expected<std::string> run_sets(runtime::Session& session, const fs::path& folder,
                               const Tolerance& tolerance) {
  for (std::size_t i = 0;; ++i) {
    const fs::path set = folder / ("test_data_set_" + std::to_string(i));
    if (!fs::exists(set)) return std::string();
    THIMBLE_ASSIGN(const std::vector<Sample> inputs, read_samples(set, "input"));
    THIMBLE_ASSIGN(const std::vector<Sample> wanted, read_samples(set, "output"));
    THIMBLE_ASSIGN(const std::string why, run_on(session, inputs, wanted, tolerance));
    if (!why.empty()) return why;
  }
}

// What the tests' own runner feeds to a model that has no stored inputs: 0, 1/n, 2/n, ... (n - 1)/n
// in f32; sizes that aren't given are 1.
Expected<std::vector<Sample>> ramps(const ir::Model& model) {
  std::vector<Sample> out;
  for (const ir::ValueId input : model.graph.inputs()) {
    const ir::Value& value = model.graph.value(input);
    if (value.dtype != ir::DType::kF32 || !value.shape)
      return unsupported("an input that has no stored value").at_tensor(value.name);
    Sample sample;
    std::int64_t count = 1;
    for (const ir::Dim& dim : *value.shape) {
      sample.dims.push_back(dim.constant().value_or(1));
      count *= sample.dims.back();
    }
    std::vector<float> numbers(static_cast<std::size_t>(count));
    for (std::int64_t i = 0; i < count; ++i) {
      numbers[static_cast<std::size_t>(i)] =
          static_cast<float>(static_cast<double>(i) / static_cast<double>(count));
    }
    const auto bytes = std::as_bytes(std::span(numbers));
    sample.bytes.assign(bytes.begin(), bytes.end());
    out.push_back(std::move(sample));
  }
  return out;
}

// The text without what only files have: metadata, the names of nodes, which a file wants apart,
// and the order of weights.
std::string graph_text(const ir::Model& model) {
  ir::Model bare = model;
  bare.metadata.clear();
  for (ir::Weight& weight : bare.weights) weight.source_parameters = 0;
  std::vector<std::string> weights;
  std::string nodes, line;
  std::istringstream lines(ir::print(bare));
  while (std::getline(lines, line)) {
    line = line.substr(0, line.find("  // ")) + "\n";
    if (line.starts_with("weight ")) {
      weights.push_back(line);
    } else {
      nodes += line;
    }
  }
  std::sort(weights.begin(), weights.end());
  for (const std::string& weight : weights) nodes += weight;
  return nodes;
}

// A reader lifts floats of 16 bits to f32 by Casts, and a writer writes these, or expands a mask of
// an Attention: nodes that change nothing, so only the results are compared.
bool is_lifted(const std::string& text) {
  return text.find("f16") != std::string::npos || text.find(" Attention(") != std::string::npos;
}

std::string first_difference(const std::string& a, const std::string& b) {
  std::istringstream left(a), right(b);
  std::string x, y;
  while (std::getline(left, x) && std::getline(right, y)) {
    if (x != y) return "written, it reads '" + y + "', not '" + x + "'";
  }
  return a == b ? "" : "written, it reads as another number of lines";
}

// The model as it is after a round trip; `why` says how its text is another one, if it is.
Expected<ir::Model> through_file(const ir::Model& model, const std::string& path, ThreadPool& pool,
                                 std::string& why) {
  Progress quiet(Progress::Style::kQuiet);
  THIMBLE_TRY(formats::write_model(model, path, {.format = "onnx"}, pool, quiet));
  THIMBLE_ASSIGN(ir::Model back, formats::onnx::read(path, {}));
  const std::string text = graph_text(model);
  if (!is_lifted(text)) why = first_difference(text, graph_text(back));
  return back;
}

Expected<std::string> run_all(const fs::path& folder, const std::string& rewritten,
                              const Tolerance& tolerance, ThreadPool& pool) {
  THIMBLE_ASSIGN(ir::Model model, formats::onnx::read(model_path(folder.string()), {}));
  std::string why;
  if (!rewritten.empty()) {
    THIMBLE_ASSIGN(model, through_file(model, rewritten, pool, why));
  }
  if (!why.empty()) return why;
  THIMBLE_ASSIGN(const program::Bundle bundle, lower::load(model, pool));
  THIMBLE_TRY(verify_placed(bundle.program));
  THIMBLE_ASSIGN(const auto session, runtime::Session::create(bundle, pool));
  if (fs::is_directory(folder)) return run_sets(*session, folder, tolerance);
  THIMBLE_ASSIGN(const std::vector<Sample> inputs, ramps(model));
  THIMBLE_ASSIGN(const std::vector<Sample> wanted,
                 read_samples(folder.parent_path(), folder.filename().string() + "_output"));
  return run_on(*session, inputs, wanted, tolerance);
}

}  // namespace

std::string model_path(const std::string& folder) {
  return fs::is_directory(folder) ? folder + "/model.onnx" : folder + ".onnx";
}

Result run_case(const std::string& folder, const std::string& rewritten, const Tolerance& tolerance,
                ThreadPool& pool) {
  const Expected<std::string> why = run_all(folder, rewritten, tolerance, pool);
  if (why) return {why->empty() ? Outcome::kPassed : Outcome::kFailed, *why};
  const Error& error = why.error();
  std::string text = error.message;
  if (!error.place.tensor.empty()) text += " ('" + error.place.tensor + "')";
  return {error.code == ErrorCode::kUnsupported ? Outcome::kSkipped : Outcome::kFailed, text};
}

}  // namespace thimble::conformance
