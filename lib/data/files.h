#pragma once
// The files of a data set that is a file or a folder of them.

#include <string>
#include <vector>

#include "support/expected.h"

namespace thimble::data {

// The path itself where it is no folder; else its files with one of these extensions (".npz"), in
// the order of their names. A folder without any is an error.
Expected<std::vector<std::string>> files_of(const std::string& path,
                                            const std::vector<std::string>& extensions);

}  // namespace thimble::data
