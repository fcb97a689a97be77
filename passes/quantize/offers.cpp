#include "passes/quantize/offers.h"

namespace thimble::passes {
namespace {

// Among equals an allocator takes the first: the simplest comes first.
std::vector<Codes> every_codes() {
  return {Codes::kUniform, Codes::kNormal, Codes::kIq4Nl, Codes::kNf4,
          Codes::kFitted,  Codes::kMxfp4,  Codes::kNvfp4, Codes::kTernary};
}

// Do codes with scales of their own fit the groups and scales that are settled?
bool take_format(Codes codes, std::int64_t sub_scale_bits, const Settings& settled) {
  const CodesFormat* format = format_of(codes);
  if (format == nullptr) return true;
  const bool groups = format->group_size == 0 || format->group_size == settled.group_size;
  return groups && sub_scale_bits == 0 && !settled.per_tensor;
}

ir::DType scale_type_of(Codes codes, ir::DType settled) {
  const CodesFormat* format = format_of(codes);
  return format != nullptr && ir::dtype_bits(format->scale_type) == 8 ? format->scale_type
                                                                      : settled;
}

// What an encoding of so many bits and such groups can be besides.
std::vector<Settings> variants_of(const Settings& base) {
  std::vector<bool> symmetric = {base.symmetric};
  std::vector<Codes> tables = {base.codes};
  std::vector<std::int64_t> subs = {base.sub_scale_bits};
  if (base.open.symmetric) symmetric = {true, false};
  if (base.open.codes) tables = every_codes();
  if (base.open.sub_scale_bits) subs = {0, 4, 6};
  std::vector<Settings> all;
  for (const bool around_zero : symmetric) {
    for (const std::int64_t sub : subs) {
      for (const Codes codes : tables) {
        const bool small = base.group_size > 0 && base.group_size <= 64;
        if (sub > 0 && (!around_zero || (base.open.sub_scale_bits && !small))) continue;
        if (codes != Codes::kUniform && (!around_zero || !codes_take(codes, base.bits))) continue;
        if (base.open.codes && !take_format(codes, sub, base)) continue;
        all.push_back(base);
        all.back().symmetric = around_zero;
        all.back().sub_scale_bits = sub;
        all.back().codes = codes;
        all.back().scale_type = scale_type_of(codes, base.scale_type);
      }
    }
  }
  return all;
}

}  // namespace

std::vector<Settings> every_setting(const Settings& base, const ir::Weight& weight, int axis) {
  const std::int64_t inputs = weight.dims[static_cast<std::size_t>(axis)];
  std::vector<std::int64_t> bits = {base.bits}, groups = {base.group_size};
  if (base.open.bits) bits = {2, 3, 4, 5, 6, 7, 8};
  if (base.open.group_size) {
    groups = {16, 32, 64, 128, 256};
    std::erase_if(groups, [&](std::int64_t group) { return group >= inputs; });
    groups.push_back(0);
  }
  std::vector<Settings> all;
  for (const std::int64_t b : bits) {
    for (const std::int64_t group : groups) {
      Settings settings = base;
      settings.bits = b;
      settings.group_size = group;
      if (base.open.group_size) settings.per_tensor = false;
      for (Settings& variant : variants_of(settings)) {
        variant.open = {};
        all.push_back(variant);
      }
    }
  }
  return all;
}

}  // namespace thimble::passes
