#include "runtime/decode.h"

#include "kernels/coded.h"
#include "kernels/linear.h"
#include "runtime/values.h"
#include "support/checked.h"
#include "support/half.h"

namespace thimble::runtime {

std::int64_t tensor_rows(const program::Tensor& tensor) {
  if (tensor.layout != program::Layout::kRowMajor) return tensor.rows;
  return tensor.dims.size() < 2 ? 1 : tensor.dims.front();
}

Expected<std::vector<float>> decode_row(const program::Bundle& bundle,
                                        const program::Tensor& tensor, std::int64_t row) {
  auto stream = [&](std::size_t i) {
    return bundle.segments[static_cast<std::size_t>(tensor.segments[i])].data();
  };
  if (tensor.layout == program::Layout::kTiles) {
    std::vector<float> out(static_cast<std::size_t>(tensor.inputs));
    kernels::decode_grouped_row(grouped_view(tensor, bundle), row, out.data());
    return out;
  }
  if (tensor.layout == program::Layout::kPanels) {
    const std::int64_t panels = ceil_div<std::int64_t>(tensor.group_size, kernels::kPanelRows);
    const std::int64_t in_group = row % tensor.group_size;
    const std::int64_t panel = row / tensor.group_size * panels + in_group / kernels::kPanelRows;
    const auto* from = reinterpret_cast<const float*>(stream(0)) +
                       panel * tensor.inputs * kernels::kPanelRows + in_group % kernels::kPanelRows;
    std::vector<float> out(static_cast<std::size_t>(tensor.inputs));
    for (std::size_t k = 0; k < out.size(); ++k) out[k] = from[k * kernels::kPanelRows];
    return out;
  }
  if (tensor.layout == program::Layout::kCoded) {
    const std::int64_t tiles = ceil_div<std::int64_t>(tensor.group_size, kernels::kCodedRows);
    const std::int64_t in_group = row % tensor.group_size;
    const std::int64_t tile = row / tensor.group_size * tiles + in_group / kernels::kCodedRows;
    const auto* from = reinterpret_cast<const std::int8_t*>(stream(0)) +
                       tile * kernels::coded_tile_bytes(tensor.inputs) +
                       in_group % kernels::kCodedRows * 4;
    const float scale = reinterpret_cast<const float*>(stream(1))[row];
    const std::int64_t channels = tensor.dims[1], taps = tensor.inputs / channels;
    std::vector<float> out(static_cast<std::size_t>(tensor.inputs));
    for (std::int64_t k = 0; k < tensor.inputs; ++k) {
      out[static_cast<std::size_t>(k % channels * taps + k / channels)] =
          scale * static_cast<float>(from[k / 4 * 4 * kernels::kCodedRows + k % 4]);
    }
    return out;
  }
  const std::int64_t rows = tensor_rows(tensor);
  const std::int64_t width = rows > 0 ? count_of(tensor.dims) / rows : 0;
  std::vector<float> out(static_cast<std::size_t>(width));
  const auto* wide = reinterpret_cast<const float*>(stream(0)) + row * width;
  const auto* narrow = reinterpret_cast<const std::uint16_t*>(stream(0)) + row * width;
  for (std::size_t i = 0; i < out.size(); ++i) {
    switch (tensor.type) {
      case program::Type::kF32:
        out[i] = wide[i];
        break;
      case program::Type::kF16:
        out[i] = half_to_float(narrow[i]);
        break;
      case program::Type::kBF16:
        out[i] = bfloat_to_float(narrow[i]);
        break;
      default:
        return unsupported("tensors of type " + std::string(program::type_name(tensor.type)) +
                           " are not decoded")
            .at_tensor(tensor.name);
    }
  }
  return out;
}

}  // namespace thimble::runtime
