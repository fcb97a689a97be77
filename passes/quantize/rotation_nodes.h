#pragma once
// A rotation as ordinary nodes, where no weight can take it up.

#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "ir/model.h"
#include "linalg/hadamard.h"

namespace thimble::passes {

// The Hadamard transform as products with its Kronecker factors: a width of 576 = 36 * 16 costs
// two small products per token, not one of 576 x 576. Constants are made once and shared.
class RotationNodes {
 public:
  RotationNodes(ir::Model& model, const linalg::HadamardRotation& rotation)
      : model_(model), rotation_(rotation) {}

  // x R in place of x for all its readers; `centre` subtracts the mean over the width first.
  void after(ir::ValueId x, bool centre);
  // (x R^T) * gain + bias in place of x for these readers; an empty bias adds nothing.
  void before(ir::ValueId x, std::span<const ir::NodeId> readers, std::span<const float> gain,
              std::span<const float> bias);

  std::uint64_t constant_bytes() const { return bytes_; }
  int transforms() const { return transforms_; }

 private:
  ir::ValueId constant(ir::Weight weight);
  ir::ValueId add(const std::string& op, std::vector<ir::ValueId> inputs,
                  std::vector<ir::Attribute> attributes = {});
  // H x or H^T x over the last axis, factor by factor.
  enum class Hadamard : std::uint8_t { kPlain, kTransposed };
  ir::ValueId factors(ir::ValueId x, Hadamard form);
  ir::ValueId factor(ir::ValueId x, std::int64_t left, std::int64_t size,
                     std::span<const float> matrix, const std::string& label);
  void start(ir::ValueId x, ir::NodeId place);

  ir::Model& model_;
  const linalg::HadamardRotation& rotation_;
  std::map<std::string, ir::ValueId> constants_;
  ir::NodeId place_;      // nodes go before it
  std::string name_;      // of the nodes
  std::size_t rank_ = 0;  // of the value that is transformed
  std::uint64_t bytes_ = 0;
  int transforms_ = 0;
};

}  // namespace thimble::passes
