#pragma once
// Shows that a pass keeps what a graph computes: the text runs through the runtime before and after
// it, on the same seeded inputs.

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "lower/lower.h"
#include "runtime/session.h"
#include "unit/passes/run_pass.h"

namespace thimble::test {

// Seeded numbers of a weight, for the text of a graph.
inline std::string seeded_weight(const std::string& name, std::vector<int> dims) {
  std::string shape, values;
  int count = 1;
  for (const int dim : dims) {
    shape += (shape.empty() ? "" : ", ") + std::to_string(dim);
    count *= dim;
  }
  std::uint32_t state = static_cast<std::uint32_t>(name.back()) + 7u;
  for (int i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    const int drawn = static_cast<int>(state >> 22) - 512;
    values += (values.empty() ? "" : ", ") + std::to_string(drawn / 1024.0);
  }
  return "weight @" + name + ": f32[" + shape + "] parameters " + std::to_string(count) + " = [" +
         values + "]\n";
}

// Inputs are drawn from [-2, 2) (whole numbers and bools from 0 and 1); symbols are 3.
class SeededRun {
 public:
  explicit SeededRun(const ir::Model& model) : pool_(1) {
    auto bundle = lower::load(model, pool_);
    if (!bundle) FAIL(bundle.error().to_string());
    auto session = runtime::Session::create(*bundle, pool_);
    if (!session) FAIL(session.error().to_string());
    std::vector<runtime::TensorView> views;
    for (const ir::ValueId id : model.graph.inputs()) views.push_back(draw(model.graph.value(id)));
    if (Status status = (*session)->run(views); !status) FAIL(status.error().to_string());
    for (const runtime::TensorView& view : (*session)->outputs()) keep(view);
  }

  std::vector<std::vector<std::int64_t>> dims;
  std::vector<std::vector<double>> outputs;

 private:
  std::uint64_t next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return state_ >> 33;
  }

  runtime::TensorView draw(const ir::Value& value) {
    std::vector<std::int64_t> sizes;
    std::size_t count = 1;
    for (const ir::Dim& dim : *value.shape) {
      sizes.push_back(dim.constant().value_or(3));
      count *= static_cast<std::size_t>(sizes.back());
    }
    const auto type = static_cast<program::Type>(value.dtype);
    held_.emplace_back(count * 8 + 8);
    std::byte* data = held_.back().data();
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint64_t drawn = next();
      const float real = static_cast<float>(drawn % 4096) / 1024 - 2;
      const std::int64_t whole = static_cast<std::int64_t>(drawn % 2);
      if (value.dtype == ir::DType::kF32) std::memcpy(data + i * 4, &real, 4);
      if (value.dtype == ir::DType::kI64) std::memcpy(data + i * 8, &whole, 8);
      if (value.dtype == ir::DType::kI32) std::memcpy(data + i * 4, &whole, 4);
      if (value.dtype == ir::DType::kBool) std::memcpy(data + i, &whole, 1);
    }
    return {type, std::move(sizes), data};
  }

  void keep(const runtime::TensorView& view) {
    dims.push_back(view.dims);
    std::vector<double> values(static_cast<std::size_t>(view.count()));
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (view.type == program::Type::kF32) values[i] = static_cast<const float*>(view.data)[i];
      if (view.type == program::Type::kF64) values[i] = static_cast<const double*>(view.data)[i];
      if (view.type == program::Type::kI32)
        values[i] = static_cast<const std::int32_t*>(view.data)[i];
      if (view.type == program::Type::kI64)
        values[i] = static_cast<double>(static_cast<const std::int64_t*>(view.data)[i]);
      if (view.type == program::Type::kBool)
        values[i] = static_cast<const std::uint8_t*>(view.data)[i];
    }
    outputs.push_back(std::move(values));
  }

  ThreadPool pool_;
  std::uint64_t state_ = 1;
  std::vector<std::vector<std::byte>> held_;
};

// The least ratio of signal to difference over the outputs, in dB; 400 where none differs.
inline double agreement_db(const SeededRun& before, const SeededRun& after) {
  REQUIRE(before.dims == after.dims);
  double least = 400;
  for (std::size_t o = 0; o < before.outputs.size(); ++o) {
    double signal = 0, noise = 0;
    for (std::size_t i = 0; i < before.outputs[o].size(); ++i) {
      const double a = before.outputs[o][i], b = after.outputs[o][i];
      signal += a * a;
      noise += (a - b) * (a - b);
    }
    REQUIRE(signal > 0);
    if (noise > 0) least = std::min(least, 10 * std::log10(signal / noise));
  }
  return least;
}

// The graph after the pass, shown to compute what it computed before to 80 dB.
inline ir::Model lossless(std::string_view pass, const std::string& text) {
  INFO(text);
  const ir::Model before = inferred(text);
  PassRun run = run_pass(pass, text);
  REQUIRE(run.error.empty());
  REQUIRE(run.report.passes.at(0).changes > 0);
  const std::string after = ir::print(run.model);
  INFO(after);
  const SeededRun first(before), second(run.model);
  CHECK(agreement_db(first, second) >= 80);
  return std::move(run.model);
}

// The nodes and what is returned, a line each, without weights and types.
inline std::string nodes_of(const ir::Model& model) {
  std::string out;
  for (const ir::NodeId id : model.graph.order()) {
    const ir::Node& node = model.graph.node(id);
    out += model.graph.value(node.outputs[0]).name + " = " + node.op + "(";
    for (const ir::ValueId input : node.inputs) {
      if (out.back() != '(') out += ", ";
      out += input.valid() ? model.graph.value(input).name : "_";
    }
    out += ")\n";
  }
  return out;
}

}  // namespace thimble::test
