#include "lower/coded.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "ir/decode.h"
#include "kernels/coded.h"

namespace thimble::lower {
namespace {

using Streams = std::span<const std::span<std::byte>>;

// A row of the weight as the kernels take it: places of the kernel before channels.
struct CodedRow {
  std::vector<std::int8_t> codes;
  float scale = 0;
  std::int32_t offset = 0;
};

// In units of x's and the weight's scales. A row of hardly anything beside its bias takes a larger
// scale, in which the bias fits 32 bits.
std::int32_t bias_units(float bias, float x_scale, CodedRow& row) {
  constexpr double kMost = 1 << 30;
  const auto units = [&] {
    const float unit = x_scale * row.scale;
    return unit != 0 ? static_cast<double>(bias) / static_cast<double>(unit)
                     : std::copysign(2 * kMost, static_cast<double>(bias));
  };
  if (bias == 0) return 0;
  if (std::fabs(units()) > kMost) {
    const float scale =
        std::copysign(std::fabs(bias) / x_scale / static_cast<float>(kMost / 2), row.scale);
    for (std::int8_t& code : row.codes) {
      code =
          static_cast<std::int8_t>(std::nearbyint(static_cast<float>(code) * (row.scale / scale)));
    }
    row.scale = scale;
  }
  return static_cast<std::int32_t>(std::nearbyint(units()));
}

Expected<std::vector<CodedRow>> rows_of(const CodedConvolution& conv) {
  const ir::Weight& w = conv.weight;
  THIMBLE_ASSIGN(const ir::Rows rows, w.source->read(0, w.rows()));
  THIMBLE_TRY(ir::check_streams(w.encoding, rows, w.inputs()));
  std::vector<float> bias;
  if (conv.bias) {
    THIMBLE_ASSIGN(bias, ir::read_floats(*conv.bias));
  }
  const std::int64_t inputs = w.inputs(), channels = w.dims[1];
  const std::int64_t taps = channels > 0 ? inputs / channels : 0;
  std::vector<CodedRow> out(static_cast<std::size_t>(w.rows()));
  for (std::size_t r = 0; r < out.size(); ++r) {
    CodedRow& row = out[r];
    row.scale = rows.scales[w.encoding.per_tensor ? 0 : r];
    const std::uint8_t* codes = rows.codes.data() + r * static_cast<std::size_t>(inputs);
    for (std::int64_t k = 0; k < inputs; ++k) {
      const int code = codes[k % channels * taps + k / channels] - w.encoding.constant_zero;
      row.codes.push_back(static_cast<std::int8_t>(code));
    }
    const std::int32_t units =
        r < bias.size() ? bias_units(bias[r], conv.x_scale, row) : std::int32_t{0};
    std::int32_t sum = 0;
    for (const std::int8_t code : row.codes) sum += code;
    row.offset = units - sum * conv.x_zero;
  }
  return out;
}

class CodedPayload : public Payload {
 public:
  explicit CodedPayload(const CodedConvolution& conv) : conv_(conv) {}
  std::int64_t pieces() const override { return 1; }
  void release(std::int64_t, std::int64_t) const override {
    conv_.weight.source->release(0, conv_.weight.rows());
  }

 protected:
  std::int64_t outputs() const { return conv_.weight.dims[0]; }
  CodedConvolution conv_;
};

class CodedTilesPayload : public CodedPayload {
 public:
  using CodedPayload::CodedPayload;
  std::vector<std::uint64_t> piece_bytes() const override {
    const std::int64_t own = outputs() / conv_.group;
    return {
        static_cast<std::uint64_t>(conv_.group * kernels::coded_bytes(own, conv_.weight.inputs())),
        static_cast<std::uint64_t>(outputs()) * sizeof(float)};
  }
  Status produce(std::int64_t, std::int64_t, Streams streams) const override {
    THIMBLE_ASSIGN(const std::vector<CodedRow> rows, rows_of(conv_));
    const std::int64_t inputs = conv_.weight.inputs(), own = outputs() / conv_.group;
    std::vector<std::int8_t> group(static_cast<std::size_t>(own * inputs));
    auto* out = reinterpret_cast<std::int8_t*>(streams[0].data());
    for (std::int64_t g = 0; g < conv_.group; ++g) {
      for (std::int64_t r = 0; r < own; ++r) {
        const CodedRow& row = rows[static_cast<std::size_t>(g * own + r)];
        std::copy(row.codes.begin(), row.codes.end(), group.begin() + r * inputs);
      }
      kernels::pack_coded(group.data(), own, inputs, out);
      out += kernels::coded_bytes(own, inputs);
    }
    for (std::size_t r = 0; r < rows.size(); ++r)
      std::memcpy(streams[1].data() + r * sizeof(float), &rows[r].scale, sizeof(float));
    return ok();
  }
};

class CodedTapsPayload : public CodedPayload {
 public:
  using CodedPayload::CodedPayload;
  std::vector<std::uint64_t> piece_bytes() const override {
    return {static_cast<std::uint64_t>(conv_.weight.element_count())};
  }
  Status produce(std::int64_t, std::int64_t, Streams streams) const override {
    THIMBLE_ASSIGN(const std::vector<CodedRow> rows, rows_of(conv_));
    for (std::size_t r = 0; r < rows.size(); ++r) {
      for (std::size_t t = 0; t < rows[r].codes.size(); ++t)
        streams[0][t * rows.size() + r] = static_cast<std::byte>(rows[r].codes[t]);
    }
    return ok();
  }
};

class OffsetPayload : public CodedPayload {
 public:
  using CodedPayload::CodedPayload;
  std::vector<std::uint64_t> piece_bytes() const override {
    return {static_cast<std::uint64_t>(outputs()) * sizeof(std::int32_t)};
  }
  Status produce(std::int64_t, std::int64_t, Streams streams) const override {
    THIMBLE_ASSIGN(const std::vector<CodedRow> rows, rows_of(conv_));
    for (std::size_t r = 0; r < rows.size(); ++r)
      std::memcpy(streams[0].data() + r * sizeof(std::int32_t), &rows[r].offset,
                  sizeof(std::int32_t));
    return ok();
  }
};

class FactorPayload : public CodedPayload {
 public:
  using CodedPayload::CodedPayload;
  std::vector<std::uint64_t> piece_bytes() const override {
    return {static_cast<std::uint64_t>(outputs()) * sizeof(float)};
  }
  Status produce(std::int64_t, std::int64_t, Streams streams) const override {
    THIMBLE_ASSIGN(const std::vector<CodedRow> rows, rows_of(conv_));
    for (std::size_t r = 0; r < rows.size(); ++r) {
      const float factor = conv_.x_scale * rows[r].scale / conv_.y_scale;
      std::memcpy(streams[0].data() + r * sizeof(float), &factor, sizeof(float));
    }
    return ok();
  }
};

}  // namespace

bool holds_codes(const ir::Weight& weight) {
  const ir::Encoding& e = weight.encoding;
  return e.kind == ir::EncodingKind::kAffine && e.bits == 8 && e.flat && e.table.empty() &&
         e.zero == ir::ZeroKind::kConstant && e.constant_zero == 128 && weight.dims.size() >= 3 &&
         (e.per_tensor || e.groups(weight.inputs()) == 1) && weight.element_count() > 0 &&
         weight.inputs() <= kernels::kMostCodedInputs;
}

program::Tensor coded_tensor(const CodedConvolution& conv) {
  const ir::Weight& w = conv.weight;
  program::Tensor tensor;
  tensor.name = w.name;
  tensor.dims = w.dims;
  if (conv.depthwise()) {
    tensor.name += "/taps";
    tensor.type = program::Type::kI8;
    tensor.dims.erase(tensor.dims.begin(), tensor.dims.begin() + 2);
    tensor.dims.push_back(w.dims[0]);
    return tensor;
  }
  tensor.layout = program::Layout::kCoded;
  tensor.type = program::Type::kF32;
  tensor.rows = w.dims[0];
  tensor.inputs = w.inputs();
  tensor.axis = static_cast<std::int32_t>(w.dims.size()) - 1;
  tensor.bits = 8;
  tensor.group_size = w.dims[0] / conv.group;
  return tensor;
}

std::unique_ptr<Payload> coded_payload(const CodedConvolution& conv) {
  if (conv.depthwise()) return std::make_unique<CodedTapsPayload>(conv);
  return std::make_unique<CodedTilesPayload>(conv);
}
std::unique_ptr<Payload> offset_payload(const CodedConvolution& conv) {
  return std::make_unique<OffsetPayload>(conv);
}
std::unique_ptr<Payload> factor_payload(const CodedConvolution& conv) {
  return std::make_unique<FactorPayload>(conv);
}

}  // namespace thimble::lower
