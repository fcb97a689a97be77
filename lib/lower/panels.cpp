#include "lower/panels.h"

#include <algorithm>
#include <cstring>

#include "ir/decode.h"
#include "kernels/convolve.h"
#include "lower/payload.h"
#include "support/checked.h"

namespace thimble::lower {
namespace {

using Streams = std::span<const std::span<std::byte>>;

class PanelPayload : public WholePayload {
 public:
  PanelPayload(const ir::Weight& weight, std::int64_t group_outputs)
      : WholePayload(weight),
        rows_(group_outputs),
        inputs_(weight.element_count() / weight.dims[0]),
        panels_(ceil_div<std::int64_t>(group_outputs, kernels::kPanelRows)),
        type_(static_cast<ir::DType>(stored_type(weight))) {}
  std::vector<std::uint64_t> piece_bytes() const override {
    return {static_cast<std::uint64_t>(groups() * group_floats()) *
            static_cast<std::uint64_t>(ir::dtype_bits(type_)) / 8};
  }
  Status produce(std::int64_t, std::int64_t, Streams streams) const override {
    THIMBLE_ASSIGN(const std::vector<float> values, ir::read_floats(weight()));
    std::vector<float> packed(static_cast<std::size_t>(inputs_ * kernels::kPanelRows));
    std::byte* out = streams[0].data();
    for (std::int64_t group = 0; group < groups(); ++group) {
      for (std::int64_t panel = 0; panel < panels_; ++panel) {
        kernels::pack_panel(values.data() + group * rows_ * inputs_, rows_, inputs_, panel,
                            packed.data());
        const std::vector<std::byte> stored = ir::encode_floats(type_, packed);
        out = std::copy(stored.begin(), stored.end(), out);
      }
    }
    return ok();
  }

 private:
  std::int64_t groups() const { return weight().dims[0] / rows_; }
  std::int64_t group_floats() const { return panels_ * inputs_ * kernels::kPanelRows; }

  std::int64_t rows_, inputs_, panels_;  // rows and panels of a group
  ir::DType type_;
};

template <class T>
class ValuesPayload : public Payload {
 public:
  explicit ValuesPayload(std::vector<T> values) : values_(std::move(values)) {}
  std::int64_t pieces() const override { return 1; }
  std::vector<std::uint64_t> piece_bytes() const override { return {values_.size() * sizeof(T)}; }
  Status produce(std::int64_t, std::int64_t, Streams streams) const override {
    if (!values_.empty()) std::memcpy(streams[0].data(), values_.data(), streams[0].size());
    return ok();
  }
  void release(std::int64_t, std::int64_t) const override {}

 private:
  std::vector<T> values_;
};

}  // namespace

program::Tensor panel_tensor(const ir::Weight& weight, std::int64_t group_outputs) {
  program::Tensor tensor;
  tensor.name = weight.name;
  tensor.layout = program::Layout::kPanels;
  tensor.type = stored_type(weight);
  tensor.dims = weight.dims;
  tensor.rows = weight.dims[0];
  tensor.inputs = weight.element_count() / weight.dims[0];
  tensor.axis = static_cast<std::int32_t>(weight.dims.size()) - 1;
  tensor.group_size = group_outputs;
  return tensor;
}

std::unique_ptr<Payload> panel_payload(const ir::Weight& weight, std::int64_t group_outputs) {
  return std::make_unique<PanelPayload>(weight, group_outputs);
}

std::unique_ptr<Payload> values_payload(std::vector<float> values) {
  return std::make_unique<ValuesPayload<float>>(std::move(values));
}
std::unique_ptr<Payload> values_payload(std::vector<std::int32_t> values) {
  return std::make_unique<ValuesPayload<std::int32_t>>(std::move(values));
}

}  // namespace thimble::lower
