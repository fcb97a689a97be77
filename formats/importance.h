#pragma once
// Importance matrices as llama.cpp's llama-imatrix writes them: for each weight the sums of squares
// of what its product reads. Two forms: GGUF (tensors NAME.in_sum2 [matrices, inputs] and
// NAME.counts [matrices, 1], both f32, beside imatrix.* keys) and the older .dat (i32 count of
// entries; each an i32 length and the name, i32 calls, i32 values and as many f32, means times
// calls; then what is not read). Files are not trusted.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ir/model.h"

namespace thimble::formats {

struct ImportanceEntry {
  std::vector<float> sums;  // of x^2, [inputs], each finite and >= 0
  double count = 0;         // rows that were summed, > 0
};

struct ImportanceMatrix {
  std::map<std::string, ImportanceEntry> entries;  // by the weight's name in GGUF
  std::string dataset;                             // what it was gathered on
  std::int64_t chunks = 0, chunk_size = 0;         // windows, and tokens of each
};

// Entries of experts (several matrices) and those that no token reached are left out.
Expected<ImportanceMatrix> read_importance(const std::string& path);

// The GGUF form.
Status write_importance(const ImportanceMatrix& matrix, const std::string& path);

// The name that such files give a model's weight: GGUF's, or its own where GGUF has none.
std::string importance_name(const ir::Model& model, const ir::Weight& weight);

// Means of squares by the model's weights' names. Errors: an entry whose inputs are not the
// weight's, a file that speaks of none of the weights.
Expected<std::map<std::string, std::vector<double>>> importance_for(const ImportanceMatrix& matrix,
                                                                    const ir::Model& model);

}  // namespace thimble::formats
