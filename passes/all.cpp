#include "passes/all.h"

#include "passes/quantize/awq.h"
#include "passes/quantize/convert_floats.h"
#include "passes/quantize/correct_bias.h"
#include "passes/quantize/correct_scales.h"
#include "passes/quantize/gptq.h"
#include "passes/quantize/hqq.h"
#include "passes/quantize/low_rank.h"
#include "passes/quantize/quantize_activations.h"
#include "passes/quantize/quantize_weights.h"
#include "passes/quantize/rotate.h"
#include "passes/quantize/smooth.h"
#include "passes/simplify/cancel_movement.h"
#include "passes/simplify/constant_folding.h"
#include "passes/simplify/dead_code.h"
#include "passes/simplify/fix_inputs.h"
#include "passes/simplify/fold_branches.h"
#include "passes/simplify/fold_indices.h"
#include "passes/simplify/fold_pads.h"
#include "passes/simplify/fold_scales.h"
#include "passes/simplify/fold_shapes.h"
#include "passes/simplify/fuse_activations.h"
#include "passes/simplify/fuse_attention.h"
#include "passes/simplify/fuse_norms.h"
#include "passes/simplify/fuse_rope.h"
#include "passes/simplify/remove_identities.h"
#include "passes/simplify/share_expressions.h"
#include "passes/simplify/share_weights.h"
#include "passes/simplify/simplify.h"

namespace thimble::passes {

std::span<const pass::Registration> all() {
  static const pass::Registration kAll[] = {
      simplify(),
      dead_code(),
      constant_folding(),
      remove_identities(),
      cancel_movement(),
      share_expressions(),
      share_weights(),
      fold_shapes(),
      fix_inputs(),
      fold_branches(),
      fold_pads(),
      fold_scales(),
      fold_indices(),
      fuse_activations(),
      fuse_norms(),
      fuse_rope(),
      fuse_attention(),
      convert_floats(),
      rotate(),
      smooth(),
      awq(),
      gptq(),
      hqq(),
      quantize_weights(),
      low_rank(),
      correct_scales(),
      correct_bias(),
      quantize_activations(),
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
