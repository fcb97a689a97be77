#pragma once
// NumPy's .npz and .npy: arrays by name, in and out.
//
// Read: ZIP archives with stored or deflated members (no encryption, no ZIP64 sizes above 4 GiB),
// .npy versions 1 to 3, little-endian, C order. Written: stored members, so that
// numpy.load(mmap_mode) works.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "support/expected.h"

namespace thimble::data {

struct Array {
  std::string name;   // of the member, without ".npy"
  std::string descr;  // NumPy's: "<f4", "<i8", "|b1", ...
  std::vector<std::int64_t> dims;
  std::vector<std::byte> bytes;  // row-major
  std::int64_t count() const;
};

// Total size of the arrays is capped at `max_bytes` before anything is allocated for them.
Expected<std::vector<Array>> read_npz(const std::string& path,
                                      std::uint64_t max_bytes = 1ull << 33);
Status write_npz(const std::string& path, const std::vector<Array>& arrays);

const Array* find(const std::vector<Array>& arrays, std::string_view name);
int descr_bytes(std::string_view descr);  // of one element; 0 when unknown

}  // namespace thimble::data
