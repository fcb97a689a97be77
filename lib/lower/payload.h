#pragma once
// The payloads of lowering: how a weight's canonical rows become the streams of a tensor.

#include <cstdint>
#include <memory>
#include <utility>

#include "ir/weight.h"
#include "lower/lower.h"

namespace thimble::lower {

// Of a weight that is read whole, in one piece: a small one.
class WholePayload : public Payload {
 public:
  explicit WholePayload(ir::Weight weight) : weight_(std::move(weight)) {}
  std::int64_t pieces() const override { return 1; }
  void release(std::int64_t, std::int64_t) const override {
    weight_.source->release(0, weight_.rows());
  }

 protected:
  const ir::Weight& weight() const { return weight_; }

 private:
  ir::Weight weight_;
};

// What floats that are computed in f32 lie in a file as: those of a matrix or kernel stay as narrow
// as they are, and a session widens them; vectors are small.
program::Type stored_type(const ir::Weight& weight);

// Dense rows as they are.
std::unique_ptr<Payload> dense_payload(const ir::Weight& weight);
// Dense floats of any type as f32 (norms, biases, tables: small ones).
std::unique_ptr<Payload> f32_payload(const ir::Weight& weight);
// An encoded matrix in tiles (lib/kernels/linear.h). `tensor` describes the tiles (see
// tile_tensor).
std::unique_ptr<Payload> tile_payload(const ir::Weight& weight, const program::Tensor& tensor);

// The tiles that hold an encoded weight without loss, or why there are none.
Expected<program::Tensor> tile_tensor(const ir::Weight& weight);

}  // namespace thimble::lower
