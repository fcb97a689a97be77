#pragma once
// Runs a program of one call and hands back its first output.

#include <cstring>
#include <stdexcept>
#include <vector>

#include "runtime/session.h"
#include "unit/catch.h"
#include "unit/program/program_builder.h"

namespace thimble::test {

template <class T>
runtime::TensorView view(p::Type type, std::vector<std::int64_t> dims,
                         const std::vector<T>& values) {
  return {type, std::move(dims), values.data()};
}

inline std::size_t natural(std::int64_t n) { return static_cast<std::size_t>(n); }

inline std::vector<std::uint8_t> some_codes(std::int64_t count) {
  std::vector<std::uint8_t> out;
  for (std::int64_t i = 0; i < count; ++i)
    out.push_back(static_cast<std::uint8_t>((i * 89 + i / 7 * 31) % 256));
  return out;
}

template <class T>
std::vector<T> copy_of(const runtime::TensorView& v) {
  const auto* data = static_cast<const T*>(v.data);
  return {data, data + v.count()};
}

template <class T>
std::vector<T> run_once(const ProgramBuilder& b, const std::vector<runtime::TensorView>& inputs,
                        int threads = 1, runtime::SessionOptions options = {}) {
  ThreadPool pool(threads);
  auto session = runtime::Session::create(b.bundle, pool, options);
  if (!session) FAIL(session.error().to_string());
  if (Status status = (*session)->run(inputs); !status) FAIL(status.error().to_string());
  return copy_of<T>((*session)->outputs()[0]);
}

// One operator over inputs of fixed dims.
struct OneOp {
  ProgramBuilder b;
  std::vector<std::int32_t> slots;
  std::vector<runtime::TensorView> views;

  template <class T>
  OneOp& with(p::Type type, std::vector<std::int64_t> dims, const std::vector<T>& values) {
    std::vector<p::Size> sizes;
    for (const std::int64_t dim : dims) sizes.push_back(number(dim));
    slots.push_back(b.input("input" + std::to_string(slots.size()), type, sizes));
    views.push_back(view(type, dims, values));
    return *this;
  }
  template <class T>
  std::vector<T> run(p::Op op, p::Type type, std::vector<std::int64_t> dims,
                     std::vector<p::Attribute> attributes = {}, int threads = 1) {
    finish(op, type, std::move(dims), std::move(attributes));
    return run_once<T>(b, views, threads);
  }
  Status try_run(p::Op op, p::Type type, std::vector<std::int64_t> dims,
                 std::vector<p::Attribute> attributes = {}) {
    finish(op, type, std::move(dims), std::move(attributes));
    ThreadPool pool(1);
    auto session = runtime::Session::create(b.bundle, pool);
    return session ? (*session)->run(views) : Status(session.error());
  }

 private:
  void finish(p::Op op, p::Type type, std::vector<std::int64_t> dims,
              std::vector<p::Attribute> attributes) {
    std::vector<p::Size> sizes;
    for (const std::int64_t dim : dims) sizes.push_back(number(dim));
    const std::int32_t y = b.activation("y", type, sizes);
    b.run(op, slots, {y}, std::move(attributes));
    b.output(y);
  }
};

}  // namespace thimble::test
