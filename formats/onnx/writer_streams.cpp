#include "formats/onnx/writer_streams.h"

#include <algorithm>
#include <cmath>

#include "ir/decode.h"
#include "quant/decode.h"
#include "support/checked.h"

namespace thimble::formats::onnx {
namespace {

using Bytes = std::vector<std::byte>;

// A tensor made of a weight's rows. `whole`: no row of it can be had without all of the weight's.
class MadeSource : public ir::WeightSource {
 public:
  MadeSource(ir::Weight of, bool whole) : of_(std::move(of)), whole_(whole) {}
  bool whole() const { return whole_; }
  void release(std::int64_t begin, std::int64_t end) const override {
    if (!whole_) of_.source->release(begin, end);
  }
  std::string describe() const override { return "made of " + of_.source->describe(); }

 protected:
  const ir::Weight& of() const { return of_; }

 private:
  ir::Weight of_;
  bool whole_;
};

// Scales and minima of groups, for each row one after the other; codes and zeros as written.
struct Streams {
  std::vector<std::uint8_t> codes, zeros;
  std::vector<float> scales, minima;
};

Expected<Streams> read_streams(const ir::Weight& w, const CodeForm& form, std::int64_t begin,
                               std::int64_t end) {
  THIMBLE_ASSIGN(ir::Rows rows, w.source->read(begin, end));
  const ir::Encoding& e = w.encoding;
  if (Status whole = ir::check_streams(e, rows, w.inputs()); !whole)
    return std::move(whole).error().at_tensor(w.name);
  Streams out;
  out.codes = std::move(rows.codes);
  for (std::uint8_t& code : out.codes) code = static_cast<std::uint8_t>(code + form.shift);
  const ir::RowGroups groups(e, rows, w.inputs());
  const bool minima = e.zero == ir::ZeroKind::kMinima;
  for (std::int64_t row = 0; row < rows.count; ++row) {
    for (std::int64_t g = 0; g < groups.count(); ++g) {
      const ir::GroupParameters p = groups.at(row, g);
      out.scales.push_back(p.scale);
      out.zeros.push_back(static_cast<std::uint8_t>(form.points ? p.zero : form.centre()));
      // Around the centre, where codes are as far from 0 on both sides, products with x lose least.
      if (minima)
        out.minima.push_back(std::fma(p.scale, static_cast<float>(form.centre()), p.minimum));
    }
  }
  return out;
}

// Low bits first; the last byte is filled up with zero bits.
void pack(std::span<const std::uint8_t> codes, int bits, std::byte* out) {
  const auto per_byte = static_cast<std::size_t>(8 / bits);
  for (std::size_t i = 0; i < codes.size(); ++i) {
    out[i / per_byte] |=
        static_cast<std::byte>(codes[i] << (i % per_byte * static_cast<std::size_t>(bits)));
  }
}

// [rows, inputs] to [inputs, rows].
template <class T>
std::vector<T> turned(const std::vector<T>& matrix, std::size_t rows) {
  const std::size_t inputs = rows == 0 ? 0 : matrix.size() / rows;
  std::vector<T> out(matrix.size());
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t k = 0; k < inputs; ++k) out[k * rows + r] = matrix[r * inputs + k];
  }
  return out;
}

std::int64_t blocks_of(const ir::Weight& w, std::int64_t block) {
  return ceil_div(w.inputs(), block);
}

// Which group of the encoding the b-th block of a row lies in.
std::size_t group_of(const ir::Weight& w, std::int64_t b, std::int64_t block) {
  const std::int64_t groups = w.encoding.groups(w.inputs());
  return static_cast<std::size_t>(groups == 1 ? 0 : b * block / w.encoding.group_size);
}

template <class T>
std::vector<T> by_block(const ir::Weight& w, const std::vector<T>& groups, std::int64_t block) {
  const auto per_row = static_cast<std::size_t>(w.encoding.groups(w.inputs()));
  const std::int64_t blocks = blocks_of(w, block);
  std::vector<T> out;
  for (std::size_t row = 0; row * per_row < groups.size(); ++row) {
    for (std::int64_t b = 0; b < blocks; ++b)
      out.push_back(groups[row * per_row + group_of(w, b, block)]);
  }
  return out;
}

enum class Part : std::uint8_t { kCodes, kScales, kZeros, kMinima };

class BlockSource : public MadeSource {
 public:
  BlockSource(ir::Weight of, const CodeForm& form, std::int64_t block, Part part)
      : MadeSource(std::move(of), false), form_(form), block_(block), part_(part) {}

  Expected<ir::Rows> read(std::int64_t begin, std::int64_t end) const override {
    THIMBLE_ASSIGN(const Streams s, read_streams(of(), form_, begin, end));
    if (part_ == Part::kScales)
      return ir::dense_rows(end - begin,
                            ir::encode_floats(scale_type(of()), by_block(of(), s.scales, block_)));
    const bool codes = part_ == Part::kCodes;
    const std::vector<std::uint8_t> zeros =
        codes ? std::vector<std::uint8_t>() : by_block(of(), s.zeros, block_);
    const auto count = static_cast<std::size_t>(end - begin);
    const auto blocks = static_cast<std::size_t>(blocks_of(of(), block_));
    const std::size_t width = codes ? static_cast<std::size_t>(of().inputs()) : blocks;
    const std::size_t full = codes ? blocks * static_cast<std::size_t>(block_) : blocks;
    const std::size_t row_bytes =
        ceil_div(full * static_cast<std::size_t>(form_.bits), std::size_t{8});
    Bytes out(count * row_bytes);
    std::vector<std::uint8_t> line(full, static_cast<std::uint8_t>(form_.centre()));
    for (std::size_t r = 0; r < count; ++r) {
      const auto from = (codes ? s.codes : zeros).begin() + static_cast<std::ptrdiff_t>(r * width);
      std::copy_n(from, width, line.begin());
      pack(line, form_.bits, out.data() + r * row_bytes);
    }
    return ir::dense_rows(end - begin, std::move(out));
  }

  static ir::DType scale_type(const ir::Weight& w) {
    return w.encoding.kind == ir::EncodingKind::kSuperBlock ? ir::DType::kF32
                                                            : w.encoding.scale_type;
  }

 private:
  CodeForm form_;
  std::int64_t block_;
  Part part_;
};

class MatrixSource : public MadeSource {
 public:
  MatrixSource(ir::Weight of, const CodeForm& form, Part part, Order order, bool whole)
      : MadeSource(std::move(of), whole),
        form_(form),
        part_(part),
        columns_(order == Order::kColumns) {}

  Expected<ir::Rows> read(std::int64_t begin, std::int64_t end) const override {
    const std::int64_t rows = of().rows();
    THIMBLE_ASSIGN(Streams s, whole() ? part_of_all() : read_streams(of(), form_, begin, end));
    if (part_ == Part::kScales) return floats(s.scales, BlockSource::scale_type(of()), begin, end);
    if (part_ == Part::kMinima) return floats(s.minima, ir::DType::kF32, begin, end);
    std::vector<std::uint8_t> codes = std::move(part_ == Part::kCodes ? s.codes : s.zeros);
    if (columns_) codes = turned(codes, static_cast<std::size_t>(rows));
    const auto centre = static_cast<unsigned>(form_.centre());
    for (std::uint8_t& code : codes)
      code = static_cast<std::uint8_t>((code - centre) & (2 * centre - 1));
    Bytes out(ceil_div(codes.size() * static_cast<std::size_t>(form_.bits), std::size_t{8}));
    pack(codes, form_.bits, out.data());
    return cut(std::move(out), begin, end);
  }

 private:
  // Of all rows, the one stream that is wanted.
  Expected<Streams> part_of_all() const {
    constexpr std::int64_t kElements = 4 << 20;
    const std::int64_t rows = of().rows();
    const std::int64_t step =
        std::max<std::int64_t>(1, kElements / std::max<std::int64_t>(1, of().inputs()));
    Streams all;
    const auto append = [](auto& to, const auto& from) {
      to.insert(to.end(), from.begin(), from.end());
    };
    for (std::int64_t begin = 0; begin < rows; begin += step) {
      const std::int64_t end = std::min(rows, begin + step);
      THIMBLE_ASSIGN(const Streams some, read_streams(of(), form_, begin, end));
      if (part_ == Part::kCodes) append(all.codes, some.codes);
      if (part_ == Part::kScales) append(all.scales, some.scales);
      if (part_ == Part::kZeros) append(all.zeros, some.zeros);
      if (part_ == Part::kMinima) append(all.minima, some.minima);
      of().source->release(begin, end);
    }
    return all;
  }

  // A vector of a row's numbers has one row; otherwise there are as many rows as ours, or groups.
  std::int64_t own_rows() const {
    if (part_ == Part::kCodes) return columns_ ? of().inputs() : of().rows();
    const std::int64_t groups = of().encoding.groups(of().inputs());
    if (groups == 1) return 1;
    return columns_ ? groups : of().rows();
  }

  Expected<ir::Rows> floats(std::vector<float> values, ir::DType type, std::int64_t begin,
                            std::int64_t end) const {
    if (columns_) values = turned(values, static_cast<std::size_t>(of().rows()));
    return cut(ir::encode_floats(type, values), begin, end);
  }

  // Rows [begin, end) of what was made of all rows.
  Expected<ir::Rows> cut(Bytes bytes, std::int64_t begin, std::int64_t end) const {
    if (!whole() || (begin == 0 && end == own_rows()))
      return ir::dense_rows(end - begin, std::move(bytes));
    const auto per_row = static_cast<std::ptrdiff_t>(bytes.size()) / own_rows();
    return ir::dense_rows(end - begin,
                          Bytes(bytes.begin() + begin * per_row, bytes.begin() + end * per_row));
  }

  CodeForm form_;
  Part part_;
  bool columns_;
};

// An encoded weight as the f32 numbers that it stands for.
class DecodedSource : public MadeSource {
 public:
  DecodedSource(ir::Weight of, bool whole) : MadeSource(std::move(of), whole) {}

  Expected<ir::Rows> read(std::int64_t begin, std::int64_t end) const override {
    const ir::Weight& w = of();
    const std::int64_t outer = w.dims.size() < 2 ? 1 : w.dims[0];
    const std::int64_t width = w.element_count() / std::max<std::int64_t>(1, outer);
    std::vector<float> values;
    if (whole()) {
      THIMBLE_ASSIGN(const std::vector<float> all, ir::read_floats(w));
      values.assign(all.begin() + begin * width, all.begin() + end * width);
    } else {
      const std::int64_t per_row = width / std::max<std::int64_t>(1, w.inputs());
      THIMBLE_ASSIGN(values, quant::decode_rows(w, begin * per_row, end * per_row));
    }
    return ir::dense_rows(end - begin, ir::encode_floats(ir::DType::kF32, values));
  }
};

ir::Weight made(const ir::Weight& of, std::string name, ir::DType type,
                std::vector<std::int64_t> dims) {
  ir::Weight out;
  out.name = std::move(name);
  out.dtype = type;
  out.dims = std::move(dims);
  out.source_parameters = of.source_parameters;
  return out;
}

// What goes with a weight's codes: one number for each group.
ir::Weight per_group(const ir::Weight& w, const std::string& suffix, ir::DType type, Order order,
                     const CodeForm& form, Part part) {
  const std::int64_t rows = w.rows(), groups = w.encoding.groups(w.inputs());
  const bool columns = order == Order::kColumns;
  std::vector<std::int64_t> dims = {rows};
  if (groups > 1) dims = columns ? std::vector{groups, rows} : std::vector{rows, groups};
  ir::Weight out = made(w, w.name + suffix, type, std::move(dims));
  out.source_parameters = 0;
  out.source = std::make_shared<MatrixSource>(w, form, part, groups > 1 ? order : Order::kRows,
                                              columns || groups == 1);
  return out;
}

}  // namespace

bool last_axis(const ir::Weight& w) {
  return w.encoding.flat || w.encoding.axis == -1 ||
         w.encoding.axis + 1 == static_cast<int>(w.dims.size());
}

bool has_streams(const ir::Encoding& encoding) {
  return encoding.kind == ir::EncodingKind::kAffine ||
         (encoding.kind == ir::EncodingKind::kSuperBlock && encoding.table.empty());
}

CodeForm code_form(const ir::Encoding& encoding, int least) {
  CodeForm form;
  form.bits = std::max(least, encoding.bits <= 2 ? 2 : encoding.bits <= 4 ? 4 : 8);
  if (encoding.zero == ir::ZeroKind::kPoints) {
    form.points = true;
  } else if (encoding.zero == ir::ZeroKind::kConstant) {
    const int shift = form.centre() - encoding.constant_zero;
    const int most = (1 << encoding.bits) - 1 + shift;
    form.points = shift < 0 || most >= 1 << form.bits;
    form.shift = form.points ? 0 : shift;
  }
  return form;
}

ir::Weight packed_codes(const ir::Weight& w, const CodeForm& form, std::int64_t block) {
  ir::Weight out =
      made(w, w.name, ir::DType::kU8, {w.rows(), blocks_of(w, block), block * form.bits / 8});
  out.source = std::make_shared<BlockSource>(w, form, block, Part::kCodes);
  return out;
}

ir::Weight packed_zeros(const ir::Weight& w, const CodeForm& form, std::int64_t block) {
  ir::Weight out = made(w, w.name + "_zero_points", ir::DType::kU8,
                        {w.rows(), ceil_div(blocks_of(w, block) * form.bits, std::int64_t{8})});
  out.source_parameters = 0;
  out.source = std::make_shared<BlockSource>(w, form, block, Part::kZeros);
  return out;
}

ir::Weight block_scales(const ir::Weight& w, std::int64_t block) {
  ir::Weight out =
      made(w, w.name + "_scales", BlockSource::scale_type(w), {w.rows(), blocks_of(w, block)});
  out.source_parameters = 0;
  out.source = std::make_shared<BlockSource>(w, CodeForm(), block, Part::kScales);
  return out;
}

ir::Weight signed_codes(const ir::Weight& w, const CodeForm& form, std::vector<std::int64_t> dims,
                        Order order) {
  const bool columns = order == Order::kColumns;
  if (columns) dims = {w.inputs(), w.rows()};
  ir::Weight out =
      made(w, w.name, form.bits == 8 ? ir::DType::kI8 : ir::DType::kI4, std::move(dims));
  out.source = std::make_shared<MatrixSource>(w, form, Part::kCodes, order, columns);
  return out;
}

ir::Weight signed_zeros(const ir::Weight& w, const CodeForm& form, Order order) {
  return per_group(w, "_zero_points", form.bits == 8 ? ir::DType::kI8 : ir::DType::kI4, order, form,
                   Part::kZeros);
}

ir::Weight group_scales(const ir::Weight& w, Order order) {
  return per_group(w, "_scales", BlockSource::scale_type(w), order, CodeForm(), Part::kScales);
}

ir::Weight group_minima(const ir::Weight& w, const CodeForm& form, Order order) {
  return per_group(w, "_minima", ir::DType::kF32, order, form, Part::kMinima);
}

ir::Weight decoded(const ir::Weight& w) {
  ir::Weight out = made(w, w.name, ir::DType::kF32, w.dims);
  out.source = std::make_shared<DecodedSource>(w, !last_axis(w));
  return out;
}

bool reads_whole(const ir::WeightSource& source) {
  const auto* made = dynamic_cast<const MadeSource*>(&source);
  return made != nullptr && made->whole();
}

}  // namespace thimble::formats::onnx
