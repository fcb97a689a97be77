#pragma once
// The streams of a quantized weight as constants that ONNX Runtime's own operators read.

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "formats/onnx/writer_activations.h"
#include "formats/onnx/writer_emit.h"
#include "formats/onnx/writer_streams.h"

namespace thimble::formats::onnx {

// Inputs that share a scale in MatMulNBits, so that every block lies in one group; 0: there is
// none.
std::int64_t block_of(const ir::Weight& weight, int bits);
// The same for rows that are gathered, which can't be filled up.
std::int64_t whole_block_of(const ir::Weight& weight, int bits);

// How a weight is used, in all graphs.
struct Uses {
  bool gathered = false;
  bool multiplied = false;
};

class WeightConstants {
 public:
  // All live as long as this.
  WeightConstants(const ir::Model& model, Emitter& emit, WriterNotes& notes)
      : model_(model), emit_(emit), notes_(notes) {}

  // To be filled before any constant is made.
  Uses& uses(ir::WeightId id) { return uses_[id]; }

  struct Parts {
    ir::ValueId codes, scales, zeros;  // no zeros: the operator knows them
  };
  // As MatMulNBits reads them. Codes of a weight that is only gathered are of two axes.
  Parts blocks(ir::WeightId id, const CodeForm& form, std::int64_t block);
  // Codes i8 [inputs, rows], a scale and a zero for each column.
  Parts columns(ir::WeightId id, const CodeForm& form);
  // f32 [groups, rows].
  ir::ValueId minima(ir::WeightId id, const CodeForm& form);

  // Notes codes that are wider than the weight's.
  void tell_width(const ir::Weight& weight, const CodeForm& form);

 private:
  ir::ValueId codes(ir::WeightId id, const std::string& form,
                    const std::function<ir::Weight()>& make);

  const ir::Model& model_;
  Emitter& emit_;
  WriterNotes& notes_;
  std::map<ir::WeightId, Uses> uses_;
};

}  // namespace thimble::formats::onnx
