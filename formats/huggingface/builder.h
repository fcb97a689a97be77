#pragma once
// What the architectures' builders share: weights by name, and the pieces that networks are made
// of, emitted as nodes with ONNX semantics. The module's path names the nodes.

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ir/model.h"

namespace thimble::formats {

// Where weights come from: safetensors by their names, GGUF by the names that Hugging Face would
// give them.
class WeightProvider {
 public:
  virtual ~WeightProvider() = default;
  virtual std::optional<ir::Weight> find(const std::string& name) const = 0;
  virtual std::vector<std::string> names() const = 0;
  // Gemma's norms multiply by 1 + w: does the source keep 1 + w itself?
  virtual bool gains_include_one() const { return false; }
  // GPT-2's products are [inputs, outputs]: does the source keep them like everybody's?
  virtual bool outputs_first() const { return false; }
};

// Rotary frequencies, one per pair of a head's rotated part.
struct Rotary {
  std::vector<float> frequencies;
  std::vector<float> long_frequencies;  // longrope: used once positions pass `original_context`
  std::int64_t original_context = 0;    // yarn's, too
  float attention_factor = 1;
  std::int64_t dim = 0;  // of the head's rotated part
  // As the configuration says it, for writers.
  std::string type = "default";
  double theta = 10000, factor = 1;
  bool usual_ramp = false;  // yarn, from 32 rotations to 1, cut to whole pairs
};

// An activation's name in config.json that means GELU by tanh.
bool is_tanh_gelu(const std::string& function);

struct RotaryValues {
  ir::ValueId cosine, sine;
  std::int64_t dim = 0;
};

class Builder {
 public:
  Builder(ir::Model& model, const WeightProvider& weights) : model_(model), weights_(weights) {}

  ir::Graph& graph() { return model_.graph; }
  ir::Model& model() { return model_; }

  // The constant value of a weight of the source; an error when it isn't there or has other dims.
  Expected<ir::ValueId> weight(const std::string& name, const std::vector<std::int64_t>& dims);
  bool outputs_first() const { return weights_.outputs_first(); }
  bool has(const std::string& name) const { return weights_.find(name).has_value(); }
  // 1 + w: norms that store their gain as an offset.
  Expected<ir::ValueId> weight_plus_one(const std::string& name,
                                        const std::vector<std::int64_t>& dims);
  ir::ValueId scalar(float value);
  ir::ValueId floats(const std::string& name, const std::vector<float>& values);
  ir::ValueId integers(const std::vector<std::int64_t>& values);

  // One node with one result, named after the module.
  ir::ValueId node(const std::string& op, std::vector<ir::ValueId> inputs, const std::string& name,
                   std::vector<ir::Attribute> attributes = {}, const std::string& domain = "");
  // y = x W^T + b with MODULE.weight [rows, inputs] and, where there is one, MODULE.bias.
  Expected<ir::ValueId> linear(ir::ValueId x, const std::string& module, std::int64_t rows,
                               std::int64_t inputs, bool bias);
  ir::ValueId linear_with(ir::ValueId x, ir::ValueId weight, const std::string& module);
  Expected<ir::ValueId> rms_norm(ir::ValueId x, const std::string& module, std::int64_t width,
                                 float epsilon, bool plus_one);
  Expected<ir::ValueId> layer_norm(ir::ValueId x, const std::string& module, std::int64_t width,
                                   float epsilon);
  ir::ValueId reshape(ir::ValueId x, const std::vector<std::int64_t>& dims,
                      const std::string& name);
  std::vector<ir::ValueId> split(ir::ValueId x, const std::vector<std::int64_t>& sizes,
                                 const std::string& name);
  RotaryValues rotary_tables(ir::ValueId position_ids, const Rotary& rotary,
                             const std::string& name);
  ir::ValueId rotate(ir::ValueId x, const RotaryValues& tables, std::int64_t heads,
                     std::int64_t head_dim, const std::string& name);
  // silu, gelu, gelu_new, gelu_pytorch_tanh, gelu_fast, quick_gelu, relu by their names in
  // config.json.
  Expected<ir::ValueId> activation(ir::ValueId x, const std::string& function,
                                   const std::string& name);

  // Tensors of the source that no builder asked for.
  std::vector<std::string> unused() const;

 private:
  ir::Model& model_;
  const WeightProvider& weights_;
  std::set<std::string> used_;
  std::map<std::string, ir::ValueId> values_;
  int constants_ = 0;
};

}  // namespace thimble::formats
