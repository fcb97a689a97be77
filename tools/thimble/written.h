#pragma once
// What a run of `compress` wrote: is it there, and as it is wanted? A .thimble holds its
// fingerprint. Of other files the report beside the output tells, for they hold none that every
// reader of theirs would keep.

#include <cstdint>
#include <optional>
#include <string>

#include "report/json.h"
#include "tools/thimble/target.h"

namespace thimble::cli {

struct Written {
  std::uint64_t bytes = 0;  // of all its files
  std::string digest;       // of their names and bytes
};

// A file with the data that lies beside it (PATH.data), or the files of a folder.
Expected<Written> written_at(const std::string& path);

// The report of the run that wrote what is there, where that has the fingerprint: a file without
// its report is what a run that was killed between the two left. With findings a run under --strict
// would have ended in an error.
std::optional<report::Json> report_if_up_to_date(const std::string& path,
                                                 const formats::Target& target,
                                                 const std::string& fingerprint, bool strict);

}  // namespace thimble::cli
