// GPTQ and its family against scripts/oracle/gptq_cases.py.

#include <cstring>

#include "data/npz.h"
#include "quant/awq.h"
#include "quant/gptq.h"
#include "quant/hqq.h"
#include "quant/low_rank.h"
#include "unit/catch.h"
#include "unit/quant/hessians.h"
#include "unit/quant/weights.h"

using namespace thimble;
using namespace thimble::quant;

namespace {

constexpr std::int64_t kRows = 12, kInputs = 48;

class Cases {
 public:
  Cases() {
    auto read =
        data::read_npz(std::string(THIMBLE_SOURCE_DIR) + "/tests/data/oracle/gptq_cases.npz");
    REQUIRE(read);
    arrays_ = std::move(*read);
  }
  template <class T>
  std::vector<T> get(const std::string& name) const {
    const data::Array* array = data::find(arrays_, name);
    REQUIRE(array != nullptr);
    std::vector<T> out(static_cast<std::size_t>(array->count()));
    REQUIRE(array->bytes.size() == out.size() * sizeof(T));
    std::memcpy(out.data(), array->bytes.data(), array->bytes.size());
    return out;
  }

 private:
  std::vector<data::Array> arrays_;
};

}  // namespace

TEST_CASE("GPTQ chooses the codes of the papers' equations") {
  const Cases cases;
  const auto weights = cases.get<float>("weights");
  const auto hessian = cases.get<double>("hessian"), asymmetry = cases.get<double>("asymmetry");
  struct Case {
    const char* name;
    int bits;
    ir::ZeroKind zero;
    std::int64_t group;
    bool act_order, asymmetric;
  };
  using enum ir::ZeroKind;
  for (const Case& c :
       {Case{"channel", 4, kConstant, 0, false, false}, Case{"group", 3, kPoints, 32, false, false},
        Case{"minima", 4, kMinima, 16, false, false},
        Case{"act_order", 3, kConstant, 16, true, false},
        Case{"asymmetric", 4, kPoints, 0, false, true}}) {
    INFO(c.name);
    GptqOptions options;
    options.act_order = c.act_order;
    if (c.asymmetric) options.asymmetry = asymmetry;
    ThreadPool pool(2);
    const auto encoding = test::affine(c.bits, c.group, c.zero, ir::DType::kF32);
    const auto result =
        test::gptq({weights, kRows, kInputs}, hessian, encoding, options, pool, Search::kAbsmax);
    REQUIRE(result);
    const std::string prefix = std::string("gptq.") + c.name;
    CHECK(result->rows.codes == cases.get<std::uint8_t>(prefix + ".codes"));
    CHECK(result->error + result->cross_error ==
          Approx(cases.get<double>(prefix + ".error")[0]).epsilon(1e-5));
  }
}

TEST_CASE("AWQ finds the scales with the least error") {
  const Cases cases;
  const auto errors = cases.get<double>("awq.errors");
  ThreadPool pool(2);
  AwqOptions options;
  options.search = Search::kAbsmax;
  const auto weights = cases.get<float>("weights");
  const AwqLayer layer[] = {
      {{weights, kRows, kInputs}, test::affine(3, 16, ir::ZeroKind::kConstant, ir::DType::kF32)}};
  const auto result = awq(layer, kInputs, cases.get<float>("awq.magnitudes"),
                          cases.get<double>("hessian"), options, pool);
  REQUIRE(result);
  const auto least = std::min_element(errors.begin(), errors.end());
  CHECK(result->rounding_error == Approx(errors[0]).epsilon(1e-5));
  CHECK(result->error == Approx(*least).epsilon(1e-5));
  CHECK(result->alpha == static_cast<double>(least - errors.begin()) / 20);
  CHECK(*least < 0.9 * errors[0]);
}

TEST_CASE("HQQ alternates as its equations do") {
  const Cases cases;
  ThreadPool pool(2);
  ir::Rows rows;
  REQUIRE(hqq({cases.get<float>("weights"), kRows, kInputs},
              test::affine(4, 16, ir::ZeroKind::kMinima, ir::DType::kF32), {}, rows, pool));
  CHECK(rows.codes == cases.get<std::uint8_t>("hqq.codes"));
  const auto minima = cases.get<float>("hqq.minima");
  REQUIRE(rows.minima.size() == minima.size());
  for (std::size_t i = 0; i < minima.size(); ++i) CHECK(rows.minima[i] == Approx(minima[i]));
}

TEST_CASE("EoRA and LoRC take away what the best thin product can") {
  const Cases cases;
  const auto errors = cases.get<float>("eora.errors");
  const auto hessian = cases.get<double>("hessian"), product = cases.get<double>("eora.product");
  ThreadPool pool(2);
  LowRankOptions options;
  options.rank = 4;
  const auto eora = low_rank(errors, kRows, kInputs, hessian, options, pool);
  REQUIRE(eora);
  CHECK(eora->error == Approx(cases.get<double>("eora.error")[0]).epsilon(1e-6));
  for (std::int64_t i = 0; i < kRows; ++i) {
    for (std::int64_t j = 0; j < kInputs; ++j) {
      double sum = 0;
      for (std::int64_t k = 0; k < 4; ++k) sum += eora->a[i * 4 + k] * eora->b[k * kInputs + j];
      CHECK(sum == Approx(product[i * kInputs + j]).margin(1e-7));
    }
  }
  const auto lorc = low_rank(errors, kRows, kInputs, {}, options, pool);
  REQUIRE(lorc);
  CHECK(lorc->error == Approx(cases.get<double>("lorc.error")[0]).epsilon(1e-6));
  // More rows than inputs: the other side's eigenvectors. LoRC of the transpose is as good.
  std::vector<float> transposed(errors.size());
  for (std::int64_t i = 0; i < kRows; ++i) {
    for (std::int64_t j = 0; j < kInputs; ++j) transposed[j * kRows + i] = errors[i * kInputs + j];
  }
  const auto tall = low_rank(transposed, kInputs, kRows, {}, options, pool);
  REQUIRE(tall);
  CHECK(tall->error == Approx(lorc->error).epsilon(1e-6));
}
