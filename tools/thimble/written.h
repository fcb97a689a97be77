#pragma once
// What `compress` wrote where the target is no .thimble: the report beside the output tells of it,
// for such files hold no fingerprint that every reader of theirs would keep.

#include <cstdint>
#include <string>

#include "support/expected.h"

namespace thimble::cli {

struct Written {
  std::uint64_t bytes = 0;  // of all its files
  std::string digest;       // of their names and bytes
};

// A file with the data that lies beside it (PATH.data), or the files of a folder.
Expected<Written> written_at(const std::string& path);

// Does the report say that what lies there now was made with this fingerprint?
bool written_up_to_date(const std::string& path, const std::string& fingerprint);

}  // namespace thimble::cli
