#include "linalg/gemm.h"

#include <algorithm>
#include <cstddef>
#include <memory>

#include "support/checked.h"
#include "support/error.h"

namespace thimble::linalg {

extern const GemmKernels kGemmScalar;
#if defined(__x86_64__)
extern const GemmKernels kGemmAvx2;
extern const GemmKernels kGemmAvx512;
#elif defined(__aarch64__)
extern const GemmKernels kGemmNeon;
#endif

std::span<const GemmKernels* const> gemm_variants() {
  static const GemmKernels* const kVariants[] = {
    &kGemmScalar,
#if defined(__x86_64__)
    &kGemmAvx2,
    &kGemmAvx512,
#elif defined(__aarch64__)
    &kGemmNeon,
#endif
  };
  return kVariants;
}

const GemmKernels& gemm_kernels() {
  static const GemmKernels* const chosen = [] {
    const Expected<kernels::Isa> active = kernels::active_isa();
    return &kernels::best_variant(gemm_variants(), active ? *active : kernels::Isa::kScalar);
  }();
  return *chosen;
}

namespace {

// Of k that are packed at once: a tile's two panels then fit the innermost cache.
constexpr std::int64_t kDepthBytes = 768;
// Of a task's block of C: its panels of A fit the second cache.
constexpr std::int64_t kBlockRows = 96, kBlockColumns = 256;
constexpr std::size_t kLine = 64;

// Uninitialised numbers that start on a cache line.
template <class T>
class Packed {
 public:
  explicit Packed(std::int64_t count)
      : bytes_(new std::byte[static_cast<std::size_t>(count) * sizeof(T) + kLine]) {
    void* start = bytes_.get();
    std::size_t space = static_cast<std::size_t>(count) * sizeof(T) + kLine;
    data_ = static_cast<T*>(std::align(kLine, space - kLine, start, space));
  }
  T* data() const { return data_; }

 private:
  std::unique_ptr<std::byte[]> bytes_;
  T* data_;
};

// One panel, [k][width], of `from` [k, at most width], past the last column zeros; negated where
// its products are to be subtracted.
template <class T>
void pack_panel(Matrix<const T> from, std::int64_t width, Update update, T* panel) {
  const bool negate = update == Update::kSubtract;
  const auto copy = [&](std::int64_t k, std::int64_t j) {
    const T x = from.at(k, j);
    panel[k * width + j] = negate ? -x : x;
  };
  // As it lies in memory.
  if (from.column_stride == 1 && !negate) {
    for (std::int64_t k = 0; k < from.rows; ++k)
      std::copy_n(&from.at(k, 0), from.columns, panel + k * width);
  } else if (from.row_stride == 1) {
    for (std::int64_t j = 0; j < from.columns; ++j) {
      for (std::int64_t k = 0; k < from.rows; ++k) copy(k, j);
    }
  } else {
    for (std::int64_t k = 0; k < from.rows; ++k) {
      for (std::int64_t j = 0; j < from.columns; ++j) copy(k, j);
    }
  }
  for (std::int64_t k = 0; k < from.rows; ++k) {
    std::fill(panel + k * width + from.columns, panel + (k + 1) * width, T{0});
  }
}

// Columns of `from` [k, n] in panels of `width`, [panel][k][width], past the last one zeros.
template <class T>
void pack(Matrix<const T> from, int width, Update update, T* to, ThreadPool& pool) {
  const std::int64_t panels = ceil_div<std::int64_t>(from.columns, width);
  pool.parallel_each(static_cast<std::size_t>(panels), 1, [&](std::size_t panel) {
    const std::int64_t first = static_cast<std::int64_t>(panel) * width;
    const std::int64_t count = std::min<std::int64_t>(width, from.columns - first);
    pack_panel(from.block(0, first, from.rows, count), width, update, to + first * from.rows);
  });
}

// One block of k: C += A B for packed A and B.
template <class T>
class Multiplier {
 public:
  Multiplier(const TileKernels<T>& kernels, const T* a, const T* b, std::int64_t depth, Matrix<T> c,
             Region region)
      : kernels_(kernels), a_(a), b_(b), depth_(depth), c_(c), region_(region) {
    block_rows_ = kBlockRows / kernels.rows * kernels.rows;
    block_columns_ = std::max<std::int64_t>(1, kBlockColumns / kernels.columns) * kernels.columns;
    across_ = ceil_div(c.columns, block_columns_);
  }

  std::size_t tasks() const {
    return static_cast<std::size_t>(ceil_div(c_.rows, block_rows_) * across_);
  }

  void run(std::size_t task) const {
    const std::int64_t row = static_cast<std::int64_t>(task) / across_ * block_rows_;
    const std::int64_t column = static_cast<std::int64_t>(task) % across_ * block_columns_;
    const std::int64_t row_end = std::min(row + block_rows_, c_.rows);
    const std::int64_t column_end = std::min(column + block_columns_, c_.columns);
    for (std::int64_t j = column; j < column_end; j += kernels_.columns) {
      for (std::int64_t i = row; i < row_end; i += kernels_.rows) tile(i, j);
    }
  }

 private:
  void tile(std::int64_t i, std::int64_t j) const {
    const bool lower = region_ == Region::kLower;
    if (lower && j > i + kernels_.rows - 1) return;
    const T* a = a_ + i * depth_;
    const T* b = b_ + j * depth_;
    const bool whole = i + kernels_.rows <= c_.rows && j + kernels_.columns <= c_.columns;
    if (whole && (!lower || j + kernels_.columns - 1 <= i)) {
      kernels_.tile(a, b, depth_, &c_.at(i, j), c_.row_stride);
    } else {
      partial_tile(i, j, a, b);
    }
  }

  // At an edge or across the diagonal: the tile is computed aside and its own elements kept.
  void partial_tile(std::int64_t i, std::int64_t j, const T* a, const T* b) const {
    constexpr int kMost = 12 * 64;
    T aside[kMost] = {};
    const std::int64_t width = kernels_.columns;
    THIMBLE_CHECK(kernels_.rows * width <= kMost, "a tile fits");
    const std::int64_t rows = std::min<std::int64_t>(kernels_.rows, c_.rows - i);
    const auto columns_of = [&](std::int64_t r) {
      const std::int64_t inside = std::min(width, c_.columns - j);
      if (region_ == Region::kAll) return inside;
      return std::clamp<std::int64_t>(i + r - j + 1, 0, inside);
    };
    for (std::int64_t r = 0; r < rows; ++r) {
      std::copy_n(&c_.at(i + r, j), columns_of(r), aside + r * width);
    }
    kernels_.tile(a, b, depth_, aside, width);
    for (std::int64_t r = 0; r < rows; ++r) {
      std::copy_n(aside + r * width, columns_of(r), &c_.at(i + r, j));
    }
  }

  const TileKernels<T>& kernels_;
  const T *a_, *b_;
  std::int64_t depth_;
  Matrix<T> c_;
  Region region_;
  std::int64_t block_rows_, block_columns_, across_;
};

template <class T>
void multiply(const TileKernels<T>& kernels, Matrix<const T> a, Matrix<const T> b, Matrix<T> c,
              Update update, Region region, ThreadPool& pool) {
  THIMBLE_CHECK(a.rows == c.rows && b.columns == c.columns && a.columns == b.rows, "shapes agree");
  THIMBLE_CHECK(c.column_stride == 1, "the columns of C are next to each other");
  if (c.rows == 0 || c.columns == 0 || a.columns == 0) return;
  const std::int64_t most =
      std::min<std::int64_t>(a.columns, kDepthBytes / static_cast<std::int64_t>(sizeof(T)));
  const Packed<T> left(round_up<std::int64_t>(c.rows, kernels.rows) * most);
  const Packed<T> right(round_up<std::int64_t>(c.columns, kernels.columns) * most);
  for (std::int64_t k = 0; k < a.columns; k += most) {
    const std::int64_t depth = std::min(most, a.columns - k);
    pack(a.block(0, k, a.rows, depth).transposed(), kernels.rows, update, left.data(), pool);
    pack(b.block(k, 0, depth, b.columns), kernels.columns, Update::kAdd, right.data(), pool);
    const Multiplier<T> multiplier(kernels, left.data(), right.data(), depth, c, region);
    pool.parallel_each(multiplier.tasks(), 1, [&](std::size_t task) { multiplier.run(task); });
  }
}

}  // namespace

void gemm(Matrix<const float> a, Matrix<const float> b, Matrix<float> c, Update update,
          Region region, ThreadPool& pool, const GemmKernels* kernels) {
  multiply((kernels != nullptr ? *kernels : gemm_kernels()).f32, a, b, c, update, region, pool);
}

void gemm(Matrix<const double> a, Matrix<const double> b, Matrix<double> c, Update update,
          Region region, ThreadPool& pool, const GemmKernels* kernels) {
  multiply((kernels != nullptr ? *kernels : gemm_kernels()).f64, a, b, c, update, region, pool);
}

}  // namespace thimble::linalg
