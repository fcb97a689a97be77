// Einsum: sums of products over named axes.

#include <algorithm>
#include <optional>

#include "runtime/ops/numbers.h"

namespace thimble::runtime {
namespace {

using program::Op;
using program::Type;

constexpr std::size_t kMostAxes = 8;  // of a slot

// The axes of one term as numbers: letters 0..51, the axes of an ellipsis counted from its last
// one, from kEllipsis down.
using Letters = std::vector<int>;
constexpr int kEllipsis = 64;

int letter_number(char c) {
  return c >= 'a' && c <= 'z' ? c - 'a' : c >= 'A' && c <= 'Z' ? 26 + c - 'A' : -1;
}

// `ellipsis`: how many axes it stands for.
Expected<Letters> letters_of(std::string_view term, std::size_t ellipsis) {
  Letters out;
  bool seen = false;
  for (std::size_t i = 0; i < term.size(); ++i) {
    if (term[i] == ' ') continue;
    if (term.substr(i, 3) == "..." && !seen) {
      for (std::size_t e = ellipsis; e > 0; --e) out.push_back(kEllipsis - static_cast<int>(e) + 1);
      seen = true;
      i += 2;
      continue;
    }
    const int number = letter_number(term[i]);
    if (number < 0) return invalid_argument("Einsum's equation has an odd character");
    out.push_back(number);
  }
  return out;
}

std::size_t letter_count(std::string_view term) {
  return static_cast<std::size_t>(
      std::count_if(term.begin(), term.end(), [](char c) { return letter_number(c) >= 0; }));
}

// The equation over the inputs: what the result's axes and the sum's are, and how each input
// follows them.
struct Plan {
  Letters kept, summed;
  std::vector<Letters> terms;
  std::array<std::int64_t, kEllipsis + 1> sizes;  // by letter; -1: not seen

  Plan() { sizes.fill(-1); }

  Dims dims_of(const Letters& letters) const {
    Dims out;
    for (const int letter : letters) out.push_back(sizes[static_cast<std::size_t>(letter)]);
    return out;
  }
  // Strides of input `i` along `letters`: 0 where it lacks them or has them once.
  Dims strides_along(const Letters& letters, std::size_t i, const Dims& dims) const {
    const Dims own = strides_of(dims);
    Dims out(letters.size(), 0);
    for (std::size_t d = 0; d < dims.size(); ++d) {
      for (std::size_t n = 0; n < letters.size(); ++n) {
        if (letters[n] == terms[i][d] && dims[d] != 1) out[n] += own[d];
      }
    }
    return out;
  }
};

bool has(const Letters& letters, int letter) {
  return std::find(letters.begin(), letters.end(), letter) != letters.end();
}

Status add_term(Plan& plan, std::string_view term, const Dims& dims) {
  const bool ellipsis = term.find("...") != std::string_view::npos;
  const std::size_t named = letter_count(term);
  if (dims.size() > kMostAxes || dims.size() < named || (!ellipsis && dims.size() != named))
    return invalid_argument("a term of Einsum's equation doesn't fit its input");
  THIMBLE_ASSIGN(Letters letters, letters_of(term, dims.size() - named));
  if (letters.size() != dims.size())
    return invalid_argument("a term of Einsum's equation doesn't fit its input");
  for (std::size_t d = 0; d < dims.size(); ++d) {
    std::int64_t& size = plan.sizes[static_cast<std::size_t>(letters[d])];
    const bool open = size == -1 || size == 1;
    if (!open && dims[d] != 1 && dims[d] != size)
      return invalid_argument("Einsum's sizes don't fit");
    if (open) size = dims[d];
  }
  plan.terms.push_back(std::move(letters));
  return ok();
}

// The result's axes where no arrow says them: the ellipsis, and letters that come once.
Letters implied_result(const Plan& plan) {
  std::array<int, kEllipsis + 1> uses{};
  for (const Letters& term : plan.terms) {
    for (const int letter : term) ++uses[static_cast<std::size_t>(letter)];
  }
  Letters out;
  for (int e = kEllipsis - static_cast<int>(kMostAxes); e <= kEllipsis; ++e) {
    if (uses[static_cast<std::size_t>(e)] > 0) out.push_back(e);
  }
  for (int upper = 26; upper < 52; ++upper) {
    if (uses[static_cast<std::size_t>(upper)] == 1) out.push_back(upper);
  }
  for (int lower = 0; lower < 26; ++lower) {
    if (uses[static_cast<std::size_t>(lower)] == 1) out.push_back(lower);
  }
  return out;
}

Expected<Plan> plan_of(const Call& call) {
  const program::Attribute* attribute = call.instruction.find("equation");
  const std::string_view equation = attribute != nullptr ? attribute->text : std::string_view();
  const std::size_t arrow = equation.find("->");
  std::string_view rest = equation.substr(0, arrow);
  Plan plan;
  for (std::size_t i = 0; i < call.inputs.size(); ++i) {
    const std::size_t comma = rest.find(',');
    if ((comma == std::string_view::npos) != (i + 1 == call.inputs.size()))
      return invalid_argument("Einsum's equation has another number of terms than inputs");
    THIMBLE_TRY(add_term(plan, rest.substr(0, comma), call.inputs[i]->dims));
    rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
  }
  std::size_t ellipsis = 0;
  for (const Letters& term : plan.terms) {
    const auto is_part = [](int letter) { return letter >= 52; };
    ellipsis = std::max(ellipsis,
                        static_cast<std::size_t>(std::count_if(term.begin(), term.end(), is_part)));
  }
  if (arrow == std::string_view::npos) {
    plan.kept = implied_result(plan);
  } else {
    THIMBLE_ASSIGN(plan.kept, letters_of(equation.substr(arrow + 2), ellipsis));
  }
  for (std::size_t n = 0; n < plan.kept.size(); ++n) {
    const int letter = plan.kept[n];
    const bool known = std::any_of(plan.terms.begin(), plan.terms.end(),
                                   [&](const Letters& term) { return has(term, letter); });
    const bool twice = std::count(plan.kept.begin(), plan.kept.end(), letter) > 1;
    if (!known || twice) return invalid_argument("Einsum's result has an odd axis");
  }
  for (const Letters& term : plan.terms) {
    for (const int letter : term) {
      if (!has(plan.kept, letter) && !has(plan.summed, letter)) plan.summed.push_back(letter);
    }
  }
  return plan;
}

Status shape_einsum(const Call& call, std::vector<Dims>& results) {
  for (const Value* x : call.inputs)
    THIMBLE_TRY(demand(x->type == call.outputs[0]->type, "Einsum's values are of one type"));
  THIMBLE_ASSIGN(const Plan plan, plan_of(call));
  results[0] = plan.dims_of(plan.kept);
  return ok();
}

template <class W>
void sum_products(Call& call, const Plan& plan) {
  const Dims kept = plan.dims_of(plan.kept), summed = plan.dims_of(plan.summed);
  const std::int64_t terms = count_of(summed);
  std::vector<Dims> outer, inner;
  for (std::size_t i = 0; i < call.inputs.size(); ++i) {
    outer.push_back(plan.strides_along(plan.kept, i, call.inputs[i]->dims));
    inner.push_back(plan.strides_along(plan.summed, i, call.inputs[i]->dims));
  }
  over_each(call.machine, count_of(kept), terms * 16, [&](std::int64_t flat) {
    W total = 0;
    for (std::int64_t t = 0; t < terms; ++t) {
      W product = 1;
      for (std::size_t i = 0; i < call.inputs.size(); ++i) {
        const std::int64_t at = offset_of(flat, kept, outer[i]) + offset_of(t, summed, inner[i]);
        product *= element<W>(*call.inputs[i], at);
      }
      total += product;
    }
    set_element(*call.outputs[0], flat, total);
  });
}

// Two f32 inputs whose letters are each a batch's, one side's own, or the sum's of both: a product
// of matrices, between copies that put the axes in order.
struct Matrices {
  Letters batch, left, right, summed;
};

std::optional<Matrices> as_matrices(const Call& call, const Plan& plan) {
  if (call.inputs.size() != 2 || call.inputs[0]->type != Type::kF32) return std::nullopt;
  Matrices out;
  for (std::size_t side = 0; side < 2; ++side) {
    const Letters &own = plan.terms[side], &other = plan.terms[1 - side];
    for (std::size_t d = 0; d < own.size(); ++d) {
      const int letter = own[d];
      const bool shared = has(other, letter), kept = has(plan.kept, letter);
      if (std::count(own.begin(), own.end(), letter) > 1 || (!shared && !kept) ||
          call.inputs[side]->dims[d] != plan.sizes[static_cast<std::size_t>(letter)])
        return std::nullopt;
      if (!shared) (side == 0 ? out.left : out.right).push_back(letter);
      if (shared && side == 0) (kept ? out.batch : out.summed).push_back(letter);
    }
  }
  return out;
}

std::size_t scratch_einsum(const Call& call) {
  std::int64_t count = call.outputs[0]->count();
  for (const Value* x : call.inputs) count += x->count();
  return static_cast<std::size_t>(count) * sizeof(float);
}

Letters joined(std::initializer_list<const Letters*> parts) {
  Letters out;
  for (const Letters* part : parts) out.insert(out.end(), part->begin(), part->end());
  return out;
}

void multiply_matrices(Call& call, const Plan& plan, const Matrices& m) {
  auto* memory = reinterpret_cast<float*>(call.scratch.data());
  Value sides[2];
  const Letters orders[2] = {joined({&m.batch, &m.left, &m.summed}),
                             joined({&m.batch, &m.summed, &m.right})};
  for (std::size_t i = 0; i < 2; ++i) {
    sides[i].dims = plan.dims_of(orders[i]);
    sides[i].data = memory;
    memory += sides[i].count();
    copy_strided(call.machine, *call.inputs[i],
                 plan.strides_along(orders[i], i, call.inputs[i]->dims), 0, sides[i]);
  }
  const std::int64_t batch = count_of(plan.dims_of(m.batch)), rows = count_of(plan.dims_of(m.left)),
                     columns = count_of(plan.dims_of(m.right)),
                     size = count_of(plan.dims_of(m.summed));
  Value product;
  product.data = memory;
  for (std::int64_t b = 0; b < batch; ++b) {
    over_rows(call.machine, rows, size * columns, [&](std::int64_t begin, std::int64_t end) {
      call.machine.linear.matmul(
          sides[0].floats() + b * rows * size, size, sides[1].floats() + b * size * columns,
          columns, product.floats() + b * rows * columns, columns, begin, end, columns, size);
    });
  }
  const Letters order = joined({&m.batch, &m.left, &m.right});
  product.dims = plan.dims_of(order);
  const Dims own = strides_of(product.dims);
  Dims strides;
  for (const int letter : plan.kept) {
    const auto at = std::find(order.begin(), order.end(), letter) - order.begin();
    strides.push_back(own[static_cast<std::size_t>(at)]);
  }
  copy_strided(call.machine, product, strides, 0, *call.outputs[0]);
}

Status run_einsum(Call& call) {
  THIMBLE_ASSIGN(const Plan plan, plan_of(call));
  if (call.outputs[0]->count() == 0) return ok();
  if (const auto matrices = as_matrices(call, plan)) {
    multiply_matrices(call, plan, *matrices);
    return ok();
  }
  if (family_of(call.inputs[0]->type) == Family::kReal)
    sum_products<double>(call, plan);
  else
    sum_products<std::uint64_t>(call, plan);  // whole numbers wrap around
  return ok();
}

}  // namespace

std::span<const Operator> einsum_operators() {
  static constexpr Operator kOperators[] = {
      {Op::kEinsum, run_einsum, scratch_einsum, shape_einsum},
  };
  return kOperators;
}

}  // namespace thimble::runtime
