# Writes a C++ source that holds every recipe of a folder. Run with -DFOLDER=... -DOUTPUT=...
file(GLOB recipes ${FOLDER}/*.yaml)
list(SORT recipes)
set(entries "")
foreach(recipe ${recipes})
  cmake_path(GET recipe STEM name)
  file(READ ${recipe} text)
  string(APPEND entries "    {\"${name}\", R\"recipe(${text})recipe\"},\n")
endforeach()
file(WRITE ${OUTPUT} "// Generated from configs/recipes.
#include \"recipe/recipe.h\"

namespace thimble::recipe {
std::span<const Shipped> shipped_recipes() {
  static constexpr Shipped kRecipes[] = {
${entries}  };
  return kRecipes;
}
}  // namespace thimble::recipe
")
