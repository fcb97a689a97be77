#pragma once
// Weights whose values a pass changes without holding them: thunks over the rows of what they were.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ir/model.h"

namespace thimble::passes {

// Can its values be changed in f32? Dense f32, f16 or bf16 of one or two dims (leading dims of 1
// aside).
bool is_rewritable(const ir::Weight& weight);

// Multiplies by factors along one of the dims, [dims[axis]]. The weight becomes f32.
void scale_weight(ir::Weight& weight, int axis, std::vector<double> factors);

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

}  // namespace thimble::passes
