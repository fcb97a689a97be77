#pragma once
// The file or folder that `convert` and `compress` write: its format, and the options of it.

#include <optional>
#include <string>

#include "formats/all.h"
#include "program/bundle.h"
#include "tools/thimble/command.h"

namespace thimble::cli {

struct TargetChoices {
  std::string type;
  bool allow_dequantize = false;
  std::optional<std::int64_t> accuracy_level;
};

void add_target_options(CLI::App& command, TargetChoices& choices);

// The format is `to`, or what the output's name ends with; a name without an ending is a folder of
// safetensors. "thimble" is one of them, though formats::write_model doesn't write it. An unknown
// ending, or an option that the format has no use for, is a usage error.
Expected<formats::Target> target_of(const std::string& output, const std::string& to,
                                    const TargetChoices& choices);

// The target with what a file says of where it came from.
formats::Target with_provenance(formats::Target target, const program::Metadata& metadata);

inline bool is_thimble_target(const formats::Target& target) { return target.format == "thimble"; }

}  // namespace thimble::cli
