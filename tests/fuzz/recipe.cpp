// DEPENDS: thimble_recipe thimble_passes
// A recipe: parsed, or refused with a place.

#include "recipe/recipe.h"

#include "passes/all.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace thimble;
  recipe::ReadOptions options;
  options.registry = passes::all();
  static_cast<void>(
      recipe::parse_recipe({reinterpret_cast<const char*>(data), size}, "recipe.yaml", options)
          .has_value());
  return 0;
}
