#include "formats/huggingface/packed.h"

#include <cmath>
#include <cstring>
#include <optional>

#include "ir/decode.h"
#include "support/checked.h"

namespace thimble::formats {
namespace {

constexpr std::int64_t kWordBits = 32;

std::uint32_t word_at(const TensorEntry& entry, std::int64_t index) {
  std::uint32_t word;
  std::memcpy(&word,
              entry.file->bytes().data() + entry.offset + static_cast<std::uint64_t>(index) * 4, 4);
  return word;
}

// Small unsigned numbers in words, end to end from the low bits on: of stream s, position p.
struct Words {
  TensorEntry entry;
  int bits = 4;
  std::int64_t stream_step = 1, word_step = 1;
  const int* places = nullptr;  // of each of a word's positions; null: in order

  unsigned at(std::int64_t stream, std::int64_t position) const {
    if (places != nullptr) {
      const std::int64_t within = position % (kWordBits / bits);
      position += places[within] - within;
    }
    const std::int64_t bit = position * bits, shift = bit % kWordBits;
    const std::int64_t index = stream * stream_step + bit / kWordBits * word_step;
    std::uint64_t both = word_at(entry, index);
    if (shift + bits > kWordBits)
      both |= static_cast<std::uint64_t>(word_at(entry, index + word_step)) << kWordBits;
    return static_cast<unsigned>(both >> shift) & ((1u << bits) - 1);
  }
};

enum class Along { kRows, kInputs };  // what follows each other in a stream of codes or scales

struct Packed {
  std::int64_t rows = 0, inputs = 0, group = 0, groups = 1;
  Words codes;
  Along codes_along = Along::kInputs;
  std::optional<Words> zeros;  // along the rows, a stream a group
  unsigned zero_offset = 0;    // added to what is stored, around the largest
  TensorEntry scales;
  std::int64_t scale_row = 1, scale_group = 1;  // steps
  std::vector<std::int64_t> scattered;          // each input's group; empty: runs of `group`

  unsigned code(std::int64_t row, std::int64_t input) const {
    return codes_along == Along::kInputs ? codes.at(row, input) : codes.at(input, row);
  }
  unsigned middle() const { return 1u << (codes.bits - 1); }
  unsigned zero(std::int64_t row, std::int64_t g) const {
    if (!zeros) return middle();
    return (zeros->at(g, row) + zero_offset) & ((1u << zeros->bits) - 1);
  }
  Expected<float> scale(std::int64_t row, std::int64_t g) const {
    const auto at = static_cast<std::uint64_t>(row * scale_row + g * scale_group);
    const auto size = static_cast<std::uint64_t>(ir::dtype_bits(scales.dtype)) / 8;
    float value = 0;
    THIMBLE_TRY(ir::decode_dense(scales.dtype,
                                 scales.file->bytes().subspan(scales.offset + at * size, size),
                                 std::span(&value, 1)));
    return value;
  }
};

class PackedSource : public ir::WeightSource {
 public:
  explicit PackedSource(Packed packed) : p_(std::move(packed)) {}

  // A row's numbers may lie all over the tensors, so their pages go once the last row was read.
  void release(std::int64_t, std::int64_t end) const override {
    if (end < p_.rows) return;
    release_all(p_.codes.entry);
    release_all(p_.scales);
    if (p_.zeros) release_all(p_.zeros->entry);
  }
  std::string describe() const override {
    return "packed in " + p_.codes.entry.file->path() + " @ " +
           std::to_string(p_.codes.entry.offset) +
           (p_.scattered.empty() ? "" : ", as floats: act-order has scattered its groups");
  }

 protected:
  Expected<std::vector<float>> scales(std::int64_t row) const {
    std::vector<float> out;
    for (std::int64_t g = 0; g < p_.groups; ++g) {
      THIMBLE_ASSIGN(const float scale, p_.scale(row, g));
      if (!std::isfinite(scale)) return invalid_file("a group's scale is not a finite number");
      out.push_back(scale);
    }
    return out;
  }
  std::vector<std::uint8_t> codes(std::int64_t begin, std::int64_t end) const {
    std::vector<std::uint8_t> out(static_cast<std::size_t>((end - begin) * p_.inputs));
    // Neighbouring rows lie in neighbouring words of GPTQ's and AWQ's tensors.
    for (std::int64_t k = 0; k < p_.inputs; ++k) {
      for (std::int64_t row = begin; row < end; ++row)
        out[static_cast<std::size_t>((row - begin) * p_.inputs + k)] =
            static_cast<std::uint8_t>(p_.code(row, k));
    }
    return out;
  }

  Packed p_;

 private:
  static void release_all(const TensorEntry& entry) {
    entry.file->release(entry.offset, entry.size);
  }
};

// On the checkpoint's own grid.
class GridSource : public PackedSource {
 public:
  GridSource(Packed packed, bool points) : PackedSource(std::move(packed)), points_(points) {}

  Expected<ir::Rows> read(std::int64_t begin, std::int64_t end) const override {
    ir::Rows rows;
    rows.count = end - begin;
    rows.codes = codes(begin, end);
    for (std::int64_t row = begin; row < end; ++row) {
      THIMBLE_ASSIGN(const std::vector<float> scales_of_row, scales(row));
      rows.scales.insert(rows.scales.end(), scales_of_row.begin(), scales_of_row.end());
      for (std::int64_t g = 0; points_ && g < p_.groups; ++g)
        rows.zero_points.push_back(static_cast<std::uint8_t>(p_.zero(row, g)));
    }
    return rows;
  }

 private:
  bool points_;
};

// As floats of the scales' type, where groups are no runs of inputs and so no encoding of ours.
class ScatteredSource : public PackedSource {
 public:
  using PackedSource::PackedSource;

  Expected<ir::Rows> read(std::int64_t begin, std::int64_t end) const override {
    const std::vector<std::uint8_t> all = codes(begin, end);
    std::vector<float> values;
    values.reserve(all.size());
    for (std::int64_t row = begin; row < end; ++row) {
      THIMBLE_ASSIGN(const std::vector<float> scales_of_row, scales(row));
      const std::uint8_t* of_row = all.data() + (row - begin) * p_.inputs;
      for (std::int64_t k = 0; k < p_.inputs; ++k) {
        const std::int64_t g = p_.scattered[static_cast<std::size_t>(k)];
        const int steps = static_cast<int>(of_row[k]) - static_cast<int>(p_.zero(row, g));
        values.push_back(scales_of_row[static_cast<std::size_t>(g)] * static_cast<float>(steps));
      }
    }
    return ir::dense_rows(end - begin, ir::encode_floats(p_.scales.dtype, values));
  }
};

class Checkpoint {
 public:
  Checkpoint(const Config& config, TensorMap& tensors) : config_(config), tensors_(tensors) {}

  Expected<std::map<std::string, ir::Weight>> take() {
    THIMBLE_ASSIGN(const std::string method, config_.text_or("quant_method", ""));
    if (method == "gptq") {
      THIMBLE_TRY(read_gptq());
      return take_each(".qweight", &Checkpoint::gptq);
    }
    if (method == "awq") {
      THIMBLE_TRY(read_awq());
      return take_each(".qweight", &Checkpoint::awq);
    }
    if (method == "compressed-tensors") {
      THIMBLE_TRY(read_compressed());
      return take_each(".weight_packed", &Checkpoint::compressed);
    }
    return refuse("the checkpoint is quantized already, by '" + method + "'");
  }

 private:
  using Reader = Expected<Packed> (Checkpoint::*)(const std::string& module);

  static Error refuse(const std::string& what) {
    return unsupported(what).fix(
        "start from the float checkpoint; read are gptq, awq (gemm) and compressed-tensors "
        "(pack-quantized)");
  }

  Status read_widths(const Config& config, const char* bits) {
    THIMBLE_ASSIGN(const std::int64_t wide, config.integer(bits, 2, 8));
    bits_ = static_cast<int>(wide);
    THIMBLE_ASSIGN(group_, config.integer_or("group_size", -1, -1, kMostWidth));
    return ok();
  }

  Status read_gptq() {
    THIMBLE_TRY(read_widths(config_, "bits"));
    if (bits_ != 2 && bits_ != 3 && bits_ != 4 && bits_ != 8)
      return refuse("gptq in " + std::to_string(bits_) + " bits");
    THIMBLE_ASSIGN(const std::string format, config_.text_or("checkpoint_format", "gptq"));
    if (format != "gptq" && format != "gptq_v2") return refuse("gptq's format '" + format + "'");
    less_one_ = format == "gptq";
    if (config_.has("dynamic") && !config_.json()["dynamic"].empty())
      return refuse("gptq with options of its own for some modules (`dynamic`)");
    return ok();
  }

  Status read_awq() {
    THIMBLE_TRY(read_widths(config_, "bits"));
    THIMBLE_ASSIGN(const std::string version, config_.text_or("version", "gemm"));
    if (bits_ != 4 || version != "gemm")
      return refuse("awq's version '" + version + "' in " + std::to_string(bits_) + " bits");
    return ok();
  }

  Status read_compressed() {
    THIMBLE_ASSIGN(const std::string format, config_.text_or("format", ""));
    if (format != "pack-quantized") return refuse("compressed-tensors' format '" + format + "'");
    if (config_.has("kv_cache_scheme")) return refuse("a quantized KV cache");
    THIMBLE_ASSIGN(const Config groups, config_.map("config_groups"));
    if (groups.empty() || groups.json().size() != 1)
      return refuse("compressed-tensors with several config_groups");
    THIMBLE_ASSIGN(const Config group, groups.map(groups.json().begin().key()));
    if (group.has("input_activations") || group.has("output_activations"))
      return refuse("compressed-tensors with quantized activations");
    THIMBLE_ASSIGN(const Config weights, group.map("weights"));
    if (weights.empty()) return refuse("compressed-tensors without `weights`");
    THIMBLE_ASSIGN(const std::string type, weights.text_or("type", "int"));
    THIMBLE_ASSIGN(const std::string strategy, weights.text_or("strategy", "group"));
    if (type != "int" || (strategy != "group" && strategy != "channel"))
      return refuse("compressed-tensors' weights of type '" + type + "' by '" + strategy + "'");
    return read_widths(weights, "num_bits");
  }

  Expected<std::map<std::string, ir::Weight>> take_each(const std::string& suffix, Reader reader) {
    std::vector<std::string> modules;
    for (const auto& [name, entry] : tensors_) {
      if (name.ends_with(suffix)) modules.push_back(name.substr(0, name.size() - suffix.size()));
    }
    std::map<std::string, ir::Weight> out;
    for (const std::string& module : modules) {
      const Expected<Packed> packed = (this->*reader)(module);
      if (!packed) return Error(packed.error()).at_tensor(module);
      out.emplace(module + ".weight", weight_of(module + ".weight", *packed));
    }
    return out;
  }

  // Symmetric codes all have the same zero point, the middle.
  ir::Weight weight_of(const std::string& name, const Packed& p) const {
    bool points = false;
    for (std::int64_t g = 0; p.zeros && g < p.groups; ++g) {
      for (std::int64_t row = 0; row < p.rows; ++row)
        points = points || p.zero(row, g) != p.middle();
    }
    ir::Weight weight;
    weight.name = name;
    weight.dtype = p.scales.dtype;
    weight.dims = {p.rows, p.inputs};
    weight.source_parameters = static_cast<std::uint64_t>(p.rows * p.inputs);
    if (!p.scattered.empty()) {
      weight.source = std::make_shared<ScatteredSource>(p);
      return weight;
    }
    weight.encoding.kind = ir::EncodingKind::kAffine;
    weight.encoding.bits = bits_;
    weight.encoding.group_size = p.groups > 1 ? p.group : 0;
    weight.encoding.scale_type = p.scales.dtype;
    weight.encoding.zero = points ? ir::ZeroKind::kPoints : ir::ZeroKind::kConstant;
    weight.encoding.constant_zero = points ? 0 : static_cast<int>(p.middle());
    weight.source = std::make_shared<GridSource>(p, points);
    return weight;
  }

  // Takes MODULE.PART, a matrix.
  Expected<TensorEntry> part(const std::string& module, const std::string& name) {
    const auto found = tensors_.find(module + "." + name);
    if (found == tensors_.end()) return invalid_file("the weights hold no '" + name + "' of it");
    TensorEntry entry = std::move(found->second);
    tensors_.erase(found);
    if (entry.dims.size() != 2) return invalid_file("'" + name + "' is no matrix");
    for (const std::int64_t dim : entry.dims) {
      if (dim < 1 || dim > kMostWidth) return invalid_file("'" + name + "' has an impossible size");
    }
    return entry;
  }

  Expected<TensorEntry> words(const std::string& module, const std::string& name) {
    THIMBLE_ASSIGN(TensorEntry entry, part(module, name));
    if (entry.dtype != ir::DType::kI32) return invalid_file("'" + name + "' is not of I32");
    return entry;
  }

  static Status check_dims(const TensorEntry& entry, const char* name, std::int64_t rows,
                           std::int64_t columns) {
    if (entry.dims[0] == rows && entry.dims[1] == columns) return ok();
    return invalid_file("'" + std::string(name) + "' has dims [" + std::to_string(entry.dims[0]) +
                        ", " + std::to_string(entry.dims[1]) + "], not [" + std::to_string(rows) +
                        ", " + std::to_string(columns) + "]");
  }

  // Rows and inputs being known: what groups they make.
  Status set_groups(Packed& p) const {
    if (p.rows < 1 || p.inputs < 1 || p.rows > kMostWidth || p.inputs > kMostWidth)
      return invalid_file("a quantized matrix of impossible size");
    p.group = group_ < 1 ? p.inputs : group_;
    p.groups = ceil_div(p.inputs, p.group);
    return ok();
  }

  Status set_scales(const std::string& module, const char* name, Along along, Packed& p) {
    THIMBLE_ASSIGN(p.scales, part(module, name));
    const ir::DType type = p.scales.dtype;
    if (type != ir::DType::kF16 && type != ir::DType::kBF16 && type != ir::DType::kF32)
      return invalid_file("'" + std::string(name) + "' is not of F16, BF16 or F32");
    const bool by_row = along == Along::kInputs;
    p.scale_row = by_row ? p.groups : 1;
    p.scale_group = by_row ? 1 : p.rows;
    return check_dims(p.scales, name, by_row ? p.rows : p.groups, by_row ? p.groups : p.rows);
  }

  // Act-order without static groups scatters them.
  Status set_order(const std::string& module, const char* name, Packed& p) {
    const auto found = tensors_.find(module + "." + name);
    if (found == tensors_.end()) return ok();
    const TensorEntry entry = std::move(found->second);
    tensors_.erase(found);
    if (entry.dtype != ir::DType::kI32 || entry.dims != std::vector<std::int64_t>{p.inputs})
      return invalid_file("'" + std::string(name) + "' doesn't say a group for each input");
    bool runs = true;
    for (std::int64_t k = 0; k < p.inputs; ++k) {
      const std::uint32_t group = word_at(entry, k);
      if (group >= static_cast<std::uint64_t>(p.groups))
        return invalid_file("'" + std::string(name) + "' names a group that isn't there");
      runs = runs && group == static_cast<std::uint32_t>(k / p.group);
      p.scattered.push_back(group);
    }
    if (runs) p.scattered.clear();
    return ok();
  }

  Expected<Packed> gptq(const std::string& module) {
    Packed p;
    THIMBLE_ASSIGN(p.codes.entry, words(module, "qweight"));
    const std::int64_t bits = p.codes.entry.dims[0] * kWordBits;
    p.rows = p.codes.entry.dims[1];
    p.inputs = bits / bits_;
    if (bits % bits_ != 0 || p.rows * bits_ % kWordBits != 0)
      return invalid_file("its codes don't fill whole words");
    THIMBLE_TRY(set_groups(p));
    p.codes = {p.codes.entry, bits_, 1, p.rows};
    THIMBLE_TRY(set_scales(module, "scales", Along::kRows, p));
    THIMBLE_ASSIGN(const TensorEntry zeros, words(module, "qzeros"));
    const std::int64_t width = p.rows * bits_ / kWordBits;
    THIMBLE_TRY(check_dims(zeros, "qzeros", p.groups, width));
    p.zeros = Words{zeros, bits_, width, 1};
    p.zero_offset = less_one_ ? 1 : 0;
    THIMBLE_TRY(set_order(module, "g_idx", p));
    return p;
  }

  Expected<Packed> awq(const std::string& module) {
    static constexpr int kPlaces[] = {0, 4, 1, 5, 2, 6, 3, 7};  // of each of eight rows
    Packed p;
    THIMBLE_ASSIGN(p.codes.entry, words(module, "qweight"));
    const std::int64_t width = p.codes.entry.dims[1];
    p.inputs = p.codes.entry.dims[0];
    p.rows = width <= kMostWidth ? width * kWordBits / bits_ : 0;
    THIMBLE_TRY(set_groups(p));
    p.codes = {p.codes.entry, bits_, width, 1, kPlaces};
    p.codes_along = Along::kRows;
    THIMBLE_TRY(set_scales(module, "scales", Along::kRows, p));
    THIMBLE_ASSIGN(const TensorEntry zeros, words(module, "qzeros"));
    THIMBLE_TRY(check_dims(zeros, "qzeros", p.groups, width));
    p.zeros = Words{zeros, bits_, width, 1, kPlaces};
    return p;
  }

  Expected<Packed> compressed(const std::string& module) {
    Packed p;
    THIMBLE_ASSIGN(p.codes.entry, words(module, "weight_packed"));
    const auto words_of = [&](std::int64_t count) { return ceil_div(count * bits_, kWordBits); };
    p.rows = p.codes.entry.dims[0];
    THIMBLE_ASSIGN(p.inputs, inputs_of(module, p.rows));
    THIMBLE_TRY(set_groups(p));
    THIMBLE_TRY(check_dims(p.codes.entry, "weight_packed", p.rows, words_of(p.inputs)));
    p.codes = {p.codes.entry, bits_, words_of(p.inputs), 1};
    THIMBLE_TRY(set_scales(module, "weight_scale", Along::kInputs, p));
    if (tensors_.contains(module + ".weight_zero_point")) {
      THIMBLE_ASSIGN(const TensorEntry zeros, words(module, "weight_zero_point"));
      THIMBLE_TRY(check_dims(zeros, "weight_zero_point", words_of(p.rows), p.groups));
      p.zeros = Words{zeros, bits_, 1, p.groups};
    }
    THIMBLE_TRY(set_order(module, "weight_g_idx", p));
    return p;
  }

  // weight_shape [2]: rows, inputs; of I64 or I32.
  Expected<std::int64_t> inputs_of(const std::string& module, std::int64_t rows) {
    const auto found = tensors_.find(module + ".weight_shape");
    if (found == tensors_.end()) return invalid_file("the weights hold no 'weight_shape' of it");
    const ir::Weight shape = mapped_weight(module + ".weight_shape", found->second);
    tensors_.erase(found);
    if (shape.dims != std::vector<std::int64_t>{2})
      return invalid_file("'weight_shape' is not two numbers");
    THIMBLE_ASSIGN(const std::vector<std::int64_t> sizes, ir::read_integers(shape));
    if (sizes[0] != rows || sizes[1] < 1 || sizes[1] > kMostWidth)
      return invalid_file("'weight_shape' says another size than 'weight_packed'");
    return sizes[1];
  }

  const Config& config_;
  TensorMap& tensors_;
  int bits_ = 4;
  std::int64_t group_ = -1;  // -1: a row
  bool less_one_ = false;
};

}  // namespace

Expected<std::map<std::string, ir::Weight>> take_packed(const Config& config, TensorMap& tensors) {
  auto taken = Checkpoint(config, tensors).take();
  if (!taken) return Error(taken.error()).in(config.file());
  return taken;
}

}  // namespace thimble::formats
