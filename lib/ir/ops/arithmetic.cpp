// Shapes and types of quantization, of choices along an axis, and of sums over named axes.

#include <map>

#include "ir/ops/schema.h"
#include "ir/ops/shape_context.h"
#include "ir/ops/shape_functions.h"

namespace thimble::ir::shapes {

Status predicate(ShapeContext& c) {
  c.give(DType::kBool, c.shape(0));
  return ok();
}

Status cast_like(ShapeContext& c) {
  c.give(c.dtype(1), c.shape(0));
  return ok();
}

Status bit_cast(ShapeContext& c) {
  const auto to = static_cast<DType>(c.node().integer("to", 0));
  if (dtype_bits(to) == 0 || dtype_bits(to) != dtype_bits(c.dtype(0)))
    return invalid_file("BitCast is between types of as many bits");
  c.give(to, c.shape(0));
  return ok();
}

Status quantize(ShapeContext& c) {
  c.give(types::quantized(c, 0), c.shape(0));
  return ok();
}

Status dequantize(ShapeContext& c) {
  c.give(types::dequantized(c, 0), c.shape(0));
  return ok();
}

Status quantize_dynamically(ShapeContext& c) {
  c.give({{DType::kU8, c.shape(0), {}}, {DType::kF32, {}, {}}, {DType::kU8, {}, {}}});
  return ok();
}

Status matmul_integer(ShapeContext& c) {
  THIMBLE_ASSIGN(Shape shape, matmul_shape(c.shape(0), c.shape(1)));
  c.give(DType::kI32, std::move(shape));
  return ok();
}

Status matmul_quantized(ShapeContext& c) {
  THIMBLE_ASSIGN(Shape shape, matmul_shape(c.shape(0), c.shape(3)));
  c.give(c.dtype(7), std::move(shape));
  return ok();
}

Status arg_reduce(ShapeContext& c) {
  Shape shape = c.shape(0);
  THIMBLE_ASSIGN(const std::size_t axis, normal_axis(c.node().integer("axis", 0), shape.size()));
  shape[axis] = 1;
  if (c.node().integer("keepdims", 1) == 0)
    shape.erase(shape.begin() + static_cast<std::ptrdiff_t>(axis));
  c.give(DType::kI64, std::move(shape));
  return ok();
}

Status top_k(ShapeContext& c) {
  Shape shape = c.shape(0);
  THIMBLE_ASSIGN(const std::size_t axis, normal_axis(c.node().integer("axis", -1), shape.size()));
  THIMBLE_ASSIGN(const DimData count, c.need_data(1, "the count"));
  if (count.size() != 1) return invalid_file("the count must be one number");
  shape[axis] = count[0];
  c.give({{c.dtype(0), shape, {}}, {DType::kI64, shape, {}}});
  return ok();
}

Status determinant(ShapeContext& c) {
  const Shape& shape = c.shape(0);
  if (shape.size() < 2) return invalid_file("the input must be matrices");
  THIMBLE_TRY(same_size(shape.back(), shape[shape.size() - 2], "sides of the matrices"));
  c.give(c.dtype(0), Shape(shape.begin(), shape.end() - 2));
  return ok();
}

namespace {

// One side of an equation: letters, and where the axes that an ellipsis stands for come.
struct Term {
  std::string before, after;
  bool ellipsis = false;
};

Expected<Term> term_of(std::string_view text) {
  Term term;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char letter = text[i];
    if (letter == ' ') continue;
    if (letter == '.') {
      if (term.ellipsis || text.substr(i, 3) != "...")
        return invalid_file("the equation has an odd '.'");
      term.ellipsis = true;
      i += 2;
    } else if ((letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z')) {
      (term.ellipsis ? term.after : term.before) += letter;
    } else {
      return invalid_file(std::string("the equation has an odd '") + letter + "'");
    }
  }
  return term;
}

// The sizes that an equation's letters and ellipsis stand for.
struct Sizes {
  std::map<char, Dim> letters;
  std::map<char, int> uses;
  Shape ellipsis;

  Status add(const Term& term, const Shape& shape) {
    const std::size_t named = term.before.size() + term.after.size();
    if (shape.size() < named || (!term.ellipsis && shape.size() != named))
      return invalid_file("a term has as many letters as " + to_string(shape) + " has not");
    const auto middle = shape.begin() + static_cast<std::ptrdiff_t>(term.before.size());
    const auto end = shape.end() - static_cast<std::ptrdiff_t>(term.after.size());
    THIMBLE_ASSIGN(ellipsis, broadcast(ellipsis, Shape(middle, end)));
    for (std::size_t i = 0; i < named; ++i) {
      const bool front = i < term.before.size();
      const char letter = front ? term.before[i] : term.after[i - term.before.size()];
      const Dim& size = front ? shape[i] : shape[shape.size() - named + i];
      ++uses[letter];
      const auto [at, is_new] = letters.try_emplace(letter, size);
      if (is_new || at->second == Dim(1)) {
        at->second = size;
      } else if (!(size == Dim(1))) {
        THIMBLE_ASSIGN(at->second, same_size(at->second, size, std::string("sizes of ") + letter));
      }
    }
    return ok();
  }
};

}  // namespace

Status einsum(ShapeContext& c) {
  const std::string_view equation = c.node().text("equation", "");
  const std::size_t arrow = equation.find("->");
  std::string_view inputs = equation.substr(0, arrow);
  Sizes sizes;
  for (std::size_t i = 0; i < c.input_count(); ++i) {
    const std::size_t comma = inputs.find(',');
    if ((comma == std::string_view::npos) != (i + 1 == c.input_count()))
      return invalid_file("the equation has another number of terms than there are inputs");
    THIMBLE_ASSIGN(const Term term, term_of(inputs.substr(0, comma)));
    THIMBLE_TRY(sizes.add(term, c.shape(i)));
    inputs.remove_prefix(comma == std::string_view::npos ? inputs.size() : comma + 1);
  }
  Term result;
  if (arrow != std::string_view::npos) {
    THIMBLE_ASSIGN(result, term_of(equation.substr(arrow + 2)));
  } else {  // letters that come once, in the alphabet's order
    result.ellipsis = true;
    for (const auto& [letter, uses] : sizes.uses) {
      if (uses == 1) result.after += letter;
    }
  }
  Shape out;
  for (const std::string* part : {&result.before, &result.after}) {
    if (part == &result.after && result.ellipsis)
      out.insert(out.end(), sizes.ellipsis.begin(), sizes.ellipsis.end());
    for (const char letter : *part) {
      const auto at = sizes.letters.find(letter);
      if (at == sizes.letters.end())
        return invalid_file(std::string("no input of the equation has '") + letter + "'");
      out.push_back(at->second);
    }
  }
  c.give(c.dtype(0), std::move(out));
  return ok();
}

}  // namespace thimble::ir::shapes

namespace thimble::ir::types {

DType quantized(const ShapeContext& c, std::size_t) {
  if (const std::int64_t given = c.node().integer("output_dtype", 0); given != 0)
    return static_cast<DType>(given);
  return c.has(2) ? c.dtype(2) : DType::kU8;
}

DType dequantized(const ShapeContext& c, std::size_t) {
  const std::int64_t given = c.node().integer("output_dtype", 0);
  return given != 0 ? static_cast<DType>(given) : c.dtype(1);
}

DType quantized_dynamically(const ShapeContext&, std::size_t output) {
  return output == 1 ? DType::kF32 : DType::kU8;
}

DType i32(const ShapeContext&, std::size_t) { return DType::kI32; }
DType eighth(const ShapeContext& c, std::size_t) { return c.dtype(7); }
DType value_and_index(const ShapeContext& c, std::size_t output) {
  return output == 0 ? c.dtype(0) : DType::kI64;
}

}  // namespace thimble::ir::types
