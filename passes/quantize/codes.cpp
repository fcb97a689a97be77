#include "passes/quantize/codes.h"

#include <algorithm>
#include <iterator>

#include "quant/levels.h"

namespace thimble::passes {
namespace {

struct CodesName {
  Codes codes;
  std::string_view name;
};
constexpr CodesName kCodes[] = {{Codes::kUniform, "uniform"}, {Codes::kNormal, "normal"},
                                {Codes::kNf4, "nf4"},         {Codes::kIq4Nl, "iq4_nl"},
                                {Codes::kFitted, "fitted"},   {Codes::kMxfp4, "mxfp4"},
                                {Codes::kNvfp4, "nvfp4"},     {Codes::kTernary, "ternary"}};

constexpr CodesFormat kFormats[] = {{Codes::kMxfp4, 4, 32, ir::DType::kF8E8M0},
                                    {Codes::kNvfp4, 4, 16, ir::DType::kF8E4M3FN},
                                    {Codes::kTernary, 2, 0, ir::DType::kF16}};

}  // namespace

Codes codes_named(std::string_view name) {
  const auto* known = std::find_if(std::begin(kCodes), std::end(kCodes),
                                   [&](const CodesName& one) { return one.name == name; });
  return known == std::end(kCodes) ? Codes::kUniform : known->codes;
}

std::string codes_text(Codes codes) {
  const auto* known = std::find_if(std::begin(kCodes), std::end(kCodes),
                                   [&](const CodesName& one) { return one.codes == codes; });
  return "'codes: " + std::string(known->name) + "'";
}

bool codes_take(Codes codes, std::int64_t bits) {
  if (codes == Codes::kUniform) return true;
  if (const CodesFormat* format = format_of(codes)) return bits == format->bits;
  return codes == Codes::kNf4 || codes == Codes::kIq4Nl ? bits == 4 : bits <= 4;
}

std::vector<float> levels_of(Codes codes, std::int64_t bits) {
  if (codes == Codes::kNf4) return quant::nf4_levels();
  if (codes == Codes::kMxfp4 || codes == Codes::kNvfp4) return quant::e2m1_levels();
  if (codes == Codes::kTernary) return quant::ternary_levels();
  return codes == Codes::kIq4Nl ? quant::iq4_nl_levels()
                                : quant::normal_levels(static_cast<int>(bits));
}

const CodesFormat* format_of(Codes codes) {
  const auto* known = std::find_if(std::begin(kFormats), std::end(kFormats),
                                   [&](const CodesFormat& one) { return one.codes == codes; });
  return known == std::end(kFormats) ? nullptr : known;
}

}  // namespace thimble::passes
