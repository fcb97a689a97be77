#pragma once
// Products of matrices in a fixed order: an output starts from what C holds and takes one fused
// multiply-add per k, k ascending. So a result depends neither on blocking, nor on the number of
// threads, nor on the instruction set; work is split over outputs.

#include <cstdint>
#include <span>

#include "kernels/isa.h"
#include "support/thread_pool.h"

namespace thimble::linalg {

// Element (i, j) lies at data[i * row_stride + j * column_stride]. Borrowed.
template <class T>
struct Matrix {
  T* data = nullptr;
  std::int64_t rows = 0, columns = 0;
  std::int64_t row_stride = 0, column_stride = 1;

  T& at(std::int64_t i, std::int64_t j) const { return data[i * row_stride + j * column_stride]; }
  Matrix block(std::int64_t row, std::int64_t column, std::int64_t row_count,
               std::int64_t column_count) const {
    return {&at(row, column), row_count, column_count, row_stride, column_stride};
  }
  Matrix transposed() const { return {data, columns, rows, column_stride, row_stride}; }
  operator Matrix<const T>() const { return {data, rows, columns, row_stride, column_stride}; }
};

// A matrix whose rows lie one after the other.
template <class T>
Matrix<T> row_major(T* data, std::int64_t rows, std::int64_t columns) {
  return {data, rows, columns, columns, 1};
}

enum class Update : std::uint8_t { kAdd, kSubtract };
enum class Region : std::uint8_t {
  kAll,
  kLower,  // only elements of C with column <= row; the others keep what they hold
};

// C [m, n] += or -= A [m, k] B [k, n]. C's columns are next to each other (column_stride 1) and
// overlap neither A nor B. Null kernels: those for this CPU.
struct GemmKernels;
void gemm(Matrix<const float> a, Matrix<const float> b, Matrix<float> c, Update update,
          Region region, ThreadPool& pool, const GemmKernels* kernels = nullptr);
void gemm(Matrix<const double> a, Matrix<const double> b, Matrix<double> c, Update update,
          Region region, ThreadPool& pool, const GemmKernels* kernels = nullptr);

// What differs by instruction set, over one type of number.
template <class T>
struct TileKernels {
  int rows;     // of a tile of C
  int columns;  // of a tile of C
  // c [rows, columns], rows `stride` apart, += sum over k of a[k][rows] times b[k][columns].
  void (*tile)(const T* a, const T* b, std::int64_t k, T* c, std::int64_t stride);
  int solve_columns;
  // Replaces x [n, solve_columns], rows `stride` apart, by L^-1 x: forward substitution with a
  // lower triangle l [n, n], rows l_stride apart.
  void (*solve)(const T* l, std::int64_t l_stride, std::int64_t n, T* x, std::int64_t stride);
};

struct GemmKernels {
  kernels::Isa isa;
  TileKernels<float> f32;
  TileKernels<double> f64;
};

std::span<const GemmKernels* const> gemm_variants();  // scalar first; only those compiled in
const GemmKernels& gemm_kernels();                    // for this CPU (or what THIMBLE_ISA asks for)

}  // namespace thimble::linalg
