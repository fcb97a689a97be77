// thimble compare: two copies of one model, tensor by tensor and end to end.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include <nlohmann/json.hpp>

#include "report/json.h"
#include "report/summary.h"
#include "runtime/decode.h"
#include "support/math.h"
#include "support/text.h"
#include "tools/thimble/evaluation.h"
#include "tools/thimble/open.h"

namespace thimble::cli {
namespace {

struct CompareChoices {
  std::string left, right;
  TextChoices text;
  std::int64_t count = 12;
};

struct Difference {
  std::string tensor;
  double error = 0;  // |a - b|^2 / |a|^2
  double sqnr = 0;   // decibels
  double bits_left = 0, bits_right = 0;
};

const program::Tensor* find_tensor(const program::Bundle& bundle, const std::string& name) {
  for (const program::Tensor& tensor : bundle.program.tensors) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

double bits_of(const program::Bundle& bundle, const program::Tensor& tensor) {
  std::int64_t count = 1;
  for (const std::int64_t dim : tensor.dims) count *= dim;
  const auto bytes = static_cast<double>(tensor_bytes(bundle.program, tensor));
  return count > 0 ? 8.0 * bytes / static_cast<double>(count) : 0;
}

// Rows are compared as they are decoded: a product's are its outputs in every layout, though the
// dims of a quantized one are the graph's.
Expected<Difference> difference(const program::Bundle& a, const program::Tensor& left,
                                const program::Bundle& b, const program::Tensor& right) {
  const auto differ = [&] {
    return invalid_argument("the two models give it different dims")
        .at_tensor(left.name)
        .fix("compare copies of one model");
  };
  double error = 0, norm = 0;
  const std::int64_t rows = runtime::tensor_rows(left);
  if (runtime::tensor_rows(right) != rows) return differ();
  for (std::int64_t row = 0; row < rows; ++row) {
    THIMBLE_ASSIGN(const std::vector<float> x, runtime::decode_row(a, left, row));
    THIMBLE_ASSIGN(const std::vector<float> y, runtime::decode_row(b, right, row));
    if (x.size() != y.size()) return differ();
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double d = static_cast<double>(x[i]) - y[i];
      error += d * d;
      norm += static_cast<double>(x[i]) * x[i];
    }
  }
  Difference out{left.name, norm > 0 ? error / norm : error, 0, bits_of(a, left),
                 bits_of(b, right)};
  if (!std::isfinite(out.error))
    out.sqnr = out.error = std::numeric_limits<double>::quiet_NaN();
  else
    out.sqnr = out.error > 0 ? -10 * math::log(out.error) / math::log(10.0) : 999;
  return out;
}

// Integers that DequantizeLinear or another node makes numbers of aren't known by themselves.
bool holds_numbers(const program::Tensor& tensor) {
  return tensor.layout != program::Layout::kRowMajor || tensor.type == program::Type::kF32 ||
         tensor.type == program::Type::kF16 || tensor.type == program::Type::kBF16;
}

struct Differences {
  std::vector<Difference> list;       // worst first
  std::vector<std::string> unpaired;  // tensors of A that B has under no such name
};

Expected<Differences> differences(const program::Bundle& a, const program::Bundle& b) {
  Differences out;
  std::vector<Difference>& list = out.list;
  for (const program::Tensor& left : a.program.tensors) {
    const program::Tensor* right = find_tensor(b, left.name);
    if (!holds_numbers(left)) continue;
    if (right == nullptr || !holds_numbers(*right)) {
      out.unpaired.push_back(left.name);
      continue;
    }
    THIMBLE_ASSIGN(Difference d, difference(a, left, b, *right));
    list.push_back(std::move(d));
  }
  const auto worse = [](const Difference& x, const Difference& y) {
    if (std::isnan(x.error) || std::isnan(y.error))
      return std::isnan(x.error) > std::isnan(y.error);
    return x.error > y.error;
  };
  std::stable_sort(list.begin(), list.end(), worse);
  return out;
}

void print(const Differences& differences, const std::vector<eval::Metric>& metrics,
           std::int64_t count) {
  const std::vector<Difference>& list = differences.list;
  report::Table table(
      {{"tensor"}, {"error", true}, {"SQNR dB", true}, {"bits A", true}, {"bits B", true}});
  for (std::size_t i = 0; i < list.size() && static_cast<std::int64_t>(i) < count; ++i) {
    const bool finite = !std::isnan(list[i].error);
    const std::string sqnr = list[i].error > 0 ? format_fixed(list[i].sqnr, 1) : "exact";
    table.add({list[i].tensor, finite ? format_significant(list[i].error) : "not finite",
               finite ? sqnr : "-", format_fixed(list[i].bits_left, 2),
               format_fixed(list[i].bits_right, 2)});
  }
  table.print();
  // Rounding to 2 bits loses less than that.
  const auto rewritten =
      std::count_if(list.begin(), list.end(), [](const Difference& d) { return d.error > 0.5; });
  if (rewritten > 0) {
    std::printf(
        "%td of %zu differ by more than rounding: rotate, smooth, awq and fold-scales move factors "
        "from weight to weight, which changes no output; compare outputs with --text, or by "
        "`thimble eval B --reference A`\n",
        rewritten, list.size());
  }
  if (const std::size_t n = differences.unpaired.size(); n > 0)
    std::printf("%zu of A %s no namesake in B, such as %s\n", n, n == 1 ? "has" : "have",
                differences.unpaired[0].c_str());
  if (metrics.empty()) return;
  std::printf("\n");
  report::metric_table(metrics).print();
}

Expected<int> run_compare(const CompareChoices& choices, Environment& environment) {
  THIMBLE_ASSIGN(const Opened left, open_any(choices.left, environment));
  THIMBLE_ASSIGN(const Opened right, open_any(choices.right, environment));
  THIMBLE_ASSIGN(const Differences found, differences(left.bundle, right.bundle));
  std::vector<eval::Metric> metrics;
  THIMBLE_ASSIGN(const EvaluationRequest request, request_of(choices.text));
  if (found.list.empty() && !found.unpaired.empty() && !request.given())
    return invalid_argument("the two models have no tensor of one name")
        .fix("compare copies of one model, or score both on a text with --text");
  if (request.given()) {
    THIMBLE_ASSIGN(metrics,
                   evaluate(right.bundle, choices.right, &left.bundle, request, environment));
  }
  if (!environment.globals.json) {
    print(found, metrics, choices.count);
    return 0;
  }
  report::Json out = report::document("compare");
  report::add_metrics(out, metrics);
  out["tensors"] = report::Json::array();
  for (const Difference& d : found.list) {
    out["tensors"].push_back({{"name", d.tensor},
                              {"error", d.error},
                              {"sqnr_db", d.sqnr},
                              {"bits_per_weight_a", d.bits_left},
                              {"bits_per_weight", d.bits_right}});
  }
  out["unpaired"] = found.unpaired;
  report::print(out);
  return 0;
}

}  // namespace

void add_compare(CLI::App& app, Globals& globals, Selected& selected) {
  auto choices = std::make_shared<CompareChoices>();
  CLI::App* command = add_command(
      app, globals, selected, "compare", "Compare two copies of a model, per tensor and end to end",
      "  thimble compare MODEL out.thimble\n  thimble compare MODEL out.thimble --text score.txt "
      "--json",
      [choices](Environment& environment) { return run_compare(*choices, environment); });
  command->add_option("A", choices->left, "The reference")->required();
  command->add_option("B", choices->right, "The copy")->required();
  command->add_option("--text", choices->text.text, "Also score both on this text")
      ->type_name("FILE");
  add_window_options(*command, choices->text.windows);
  add_count(*command, "--count", choices->count, {0, 1 << 24},
            "Tensors to list, worst first; 12 unless given");
}

}  // namespace thimble::cli
