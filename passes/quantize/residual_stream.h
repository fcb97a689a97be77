#pragma once
// The residual stream of a network: the values of one width that sums carry from the embedding to
// the last norm, who writes them and who reads them.

#include <cstdint>
#include <string>
#include <vector>

#include "ir/match.h"

namespace thimble::passes {

// A constant that some node adds to the stream or multiplies into it.
struct StreamConstant {
  ir::NodeId node;
  std::size_t input = 0;
};

struct NormReader {
  ir::NodeId norm;
  std::vector<ir::Linear> products;  // what reads its result, perhaps behind a Gather of rows
  bool tied = false;                 // they multiply by an embedding that the stream starts from
};

struct ResidualStream {
  std::int64_t width = 0;
  std::vector<ir::ValueId> values;  // all of it
  // Writers.
  std::vector<ir::WeightId> tables;       // embeddings of the stream's own
  std::vector<ir::NodeId> tied_gathers;   // Gathers of embeddings that products multiply by too
  std::vector<ir::Linear> products;       // that write the stream
  std::vector<StreamConstant> constants;  // vectors, learned or biases, along the last dim
  std::vector<ir::ValueId> norm_results;  // norms whose results are added (norms around a layer)
  // Readers.
  std::vector<NormReader> norms;
  std::vector<ir::Linear> direct;  // products that read it without a norm
  bool centred = false;            // the norms subtract the mean (LayerNormalization)
  std::string obstacle;            // why it cannot be rotated; empty: it can
};

// Every stream that starts at an embedding. Weights that several products share, or that come
// quantized, are obstacles, as is a reader that is neither a norm before products nor a sum.
std::vector<ResidualStream> find_residual_streams(const ir::Model& model);

}  // namespace thimble::passes
