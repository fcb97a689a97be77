// Row kernels: every variant against the scalar one.

#include "kernels/rows.h"

#include <cstring>
#include <limits>
#include <vector>

#include "unit/catch.h"

using namespace thimble;
using namespace thimble::kernels;

TEST_CASE("pairs give the scalar variant's bits") {
  constexpr std::int64_t kCount = 53;
  std::vector<float> a(kCount), b(kCount);
  for (std::int64_t i = 0; i < kCount; ++i) {
    a[static_cast<std::size_t>(i)] = static_cast<float>(i * 37 % 41 - 20) / 7.0f;
    b[static_cast<std::size_t>(i)] = static_cast<float>(i * 29 % 31 - 10) / 9.0f;
  }
  a[3] = -0.0f;
  a[5] = std::numeric_limits<float>::quiet_NaN();
  a[20] = -std::numeric_limits<float>::infinity();
  for (int kind = 0; kind <= static_cast<int>(Pair::kLeaky); ++kind) {
    std::vector<float> wanted(kCount);
    row_variants()[0]->pair(static_cast<Pair>(kind), a.data(), b.data(), kCount, wanted.data());
    for (const RowKernels* rows : row_variants()) {
      if (!cpu_has(rows->isa)) continue;
      INFO(isa_name(rows->isa) << ", pair " << kind);
      std::vector<float> found(kCount);
      rows->pair(static_cast<Pair>(kind), a.data(), b.data(), kCount, found.data());
      for (std::size_t i = 0; i < kCount; ++i) {
        if (wanted[i] != wanted[i]) {
          CHECK(found[i] != found[i]);
        } else {
          CHECK(std::memcmp(&found[i], &wanted[i], sizeof(float)) == 0);
        }
      }
    }
  }
  std::vector<float> y(kCount);
  row_variants()[0]->pair(Pair::kLeaky, a.data(), b.data(), kCount, y.data());
  for (std::size_t i = 0; i < kCount; ++i) {
    if (i != 5) CHECK(y[i] == (a[i] < 0 ? a[i] * b[i] : a[i]));
  }
}
