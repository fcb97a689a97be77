#include "runtime/decode.h"

#include <algorithm>

#include "kernels/coded.h"
#include "kernels/linear.h"
#include "runtime/values.h"
#include "runtime/widen.h"
#include "support/checked.h"

namespace thimble::runtime {
namespace {

template <class T>
const T* stream_of(const program::Bundle& bundle, const program::Tensor& tensor, std::size_t i) {
  const auto segment = static_cast<std::size_t>(tensor.segments[i]);
  return reinterpret_cast<const T*>(bundle.segments[segment].data());
}

// Where a row lies in layouts that put `high` rows of a group into a piece.
struct PlaceInPieces {
  PlaceInPieces(const program::Tensor& tensor, std::int64_t row, std::int64_t high) {
    const std::int64_t in_group = row % tensor.group_size;
    const std::int64_t pieces = ceil_div<std::int64_t>(tensor.group_size, high);
    piece = row / tensor.group_size * pieces + in_group / high;
    row_of_piece = in_group % high;
  }
  std::int64_t piece, row_of_piece;
};

void decode_panel_row(const program::Bundle& bundle, const program::Tensor& tensor,
                      std::int64_t row, std::vector<float>& out) {
  const PlaceInPieces place(tensor, row, kernels::kPanelRows);
  const std::int64_t first = place.piece * tensor.inputs * kernels::kPanelRows + place.row_of_piece;
  for (std::size_t k = 0; k < out.size(); ++k) {
    const std::int64_t at = first + static_cast<std::int64_t>(k) * kernels::kPanelRows;
    if (is_narrow(tensor.type)) {
      widen(tensor.type, stream_of<std::uint16_t>(bundle, tensor, 0) + at, 1, &out[k]);
    } else {
      out[k] = stream_of<float>(bundle, tensor, 0)[at];
    }
  }
}

// Codes lie by tap and then by channel, four inputs of a row together.
void decode_coded_row(const program::Bundle& bundle, const program::Tensor& tensor,
                      std::int64_t row, std::vector<float>& out) {
  const PlaceInPieces place(tensor, row, kernels::kCodedRows);
  const auto* from = stream_of<std::int8_t>(bundle, tensor, 0) +
                     place.piece * kernels::coded_tile_bytes(tensor.inputs) +
                     place.row_of_piece * 4;
  const float scale = stream_of<float>(bundle, tensor, 1)[row];
  const std::int64_t channels = tensor.dims[1], taps = tensor.inputs / channels;
  for (std::int64_t k = 0; k < tensor.inputs; ++k) {
    out[static_cast<std::size_t>(k % channels * taps + k / channels)] =
        scale * static_cast<float>(from[k / 4 * 4 * kernels::kCodedRows + k % 4]);
  }
}

Status decode_plain_row(const program::Bundle& bundle, const program::Tensor& tensor,
                        std::int64_t row, std::vector<float>& out) {
  const std::int64_t at = row * static_cast<std::int64_t>(out.size());
  if (tensor.type == program::Type::kF32) {
    std::copy_n(stream_of<float>(bundle, tensor, 0) + at, out.size(), out.begin());
    return ok();
  }
  if (is_narrow(tensor.type)) {
    widen(tensor.type, stream_of<std::uint16_t>(bundle, tensor, 0) + at,
          static_cast<std::int64_t>(out.size()), out.data());
    return ok();
  }
  return unsupported("tensors of type " + std::string(program::type_name(tensor.type)) +
                     " are not decoded")
      .at_tensor(tensor.name);
}

}  // namespace

std::int64_t tensor_rows(const program::Tensor& tensor) {
  if (tensor.layout != program::Layout::kRowMajor) return tensor.rows;
  return tensor.dims.size() < 2 ? 1 : tensor.dims.front();
}

Expected<std::vector<float>> decode_row(const program::Bundle& bundle,
                                        const program::Tensor& tensor, std::int64_t row) {
  const bool plain = tensor.layout == program::Layout::kRowMajor;
  const std::int64_t rows = tensor_rows(tensor);
  const std::int64_t width = !plain ? tensor.inputs : rows > 0 ? count_of(tensor.dims) / rows : 0;
  std::vector<float> out(static_cast<std::size_t>(width));
  switch (tensor.layout) {
    case program::Layout::kRowMajor:
      THIMBLE_TRY(decode_plain_row(bundle, tensor, row, out));
      break;
    case program::Layout::kTiles:
      kernels::decode_grouped_row(grouped_view(tensor, bundle), row, out.data());
      break;
    case program::Layout::kPanels:
      decode_panel_row(bundle, tensor, row, out);
      break;
    case program::Layout::kCoded:
      decode_coded_row(bundle, tensor, row, out);
      break;
  }
  return out;
}

}  // namespace thimble::runtime
