#include "passes/all.h"

#include "passes/quantize/awq.h"
#include "passes/quantize/convert_floats.h"
#include "passes/quantize/gptq.h"
#include "passes/quantize/quantize_weights.h"
#include "passes/quantize/rotate.h"
#include "passes/quantize/smooth.h"
#include "passes/simplify/constant_folding.h"
#include "passes/simplify/dead_code.h"
#include "passes/simplify/fuse_activations.h"
#include "passes/simplify/fuse_attention.h"
#include "passes/simplify/fuse_norms.h"

namespace thimble::passes {

std::span<const pass::Registration> all() {
  static const pass::Registration kAll[] = {
      dead_code(),        constant_folding(), fuse_activations(), fuse_norms(), fuse_attention(),
      convert_floats(),   rotate(),           smooth(),           awq(),        gptq(),
      quantize_weights(),
  };
  return kAll;
}

const pass::Registration* find(std::string_view name) {
  for (const pass::Registration& registration : all()) {
    if (registration.info.name == name) return &registration;
  }
  return nullptr;
}

}  // namespace thimble::passes
