#pragma once
// Weights whose values a pass changes without holding them: thunks over the rows of what they were.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ir/model.h"
#include "linalg/hadamard.h"

namespace thimble::passes {

// Can its values be changed in f32? Dense f32, f16 or bf16 of one or two dims (leading dims of 1
// aside).
bool is_rewritable(const ir::Weight& weight);

// Multiplies by factors along one of the dims, [dims[axis]]. The weight becomes f32.
void scale_weight(ir::Weight& weight, int axis, std::vector<double> factors);

// Cuts values at +-limits, [rows, groups] of the weight seen as a matrix with its inputs along
// `axis`, groups being those of `encoding`. The weight becomes f32.
void cut_weight(ir::Weight& weight, int axis, const ir::Encoding& encoding,
                std::vector<float> limits);

// A run of elements along an axis that a rotation takes together, `repeats` times in a row.
struct Rotated {
  std::shared_ptr<const linalg::HadamardRotation> rotation;
  int axis = 0;
  std::int64_t offset = 0;
  std::int64_t repeats = 1;
  bool centre = false;  // subtract the run's mean first
};

// Each run x along the axis becomes x R. The weight becomes f32. Reading a row whose run lies
// across rows computes the whole run.
void rotate_weight(ir::Weight& weight, const Rotated& rotated);

// Rows of a dense weight computed from those of another: f32, row-major.
class ComputedRows : public ir::WeightSource {
 public:
  explicit ComputedRows(ir::Weight from) : from_(std::move(from)) {}
  Expected<ir::Rows> read(std::int64_t begin, std::int64_t end) const override;
  void release(std::int64_t begin, std::int64_t end) const override {
    from_.source->release(begin, end);
  }

 protected:
  // Rows [begin, end) as they shall be.
  virtual Expected<std::vector<float>> compute(std::int64_t begin, std::int64_t end) const = 0;
  const ir::Weight& from() const { return from_; }

 private:
  ir::Weight from_;
};

// The constant that a node reads, for this node alone: copied when others read it too.
ir::WeightId own_constant(ir::Model& model, ir::NodeId node, std::size_t input);

// f32 values in place of what a dense weight holds; its name, dims and count of parameters stay.
void set_values(ir::Weight& weight, std::span<const float> values);

// value + term in place of a node's result `value`, right after it and under its name, for all
// readers and as graph output.
void add_after(ir::Model& model, ir::ValueId value, ir::ValueId term, const std::string& node_name);

}  // namespace thimble::passes
