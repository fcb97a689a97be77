#pragma once
// Any FILE that a command takes: a .thimble, or a model that we read, which takes the same road
// through lowering so that it can be run, evaluated and measured like its compressed copies.

#include <optional>
#include <string>

#include "ir/dim_range.h"
#include "ir/model.h"
#include "program/bundle.h"
#include "tokenizer/tokenizer.h"
#include "tools/thimble/command.h"

namespace thimble::cli {

struct Opened {
  std::string path;
  program::Bundle bundle;
  std::optional<ir::Model> model;  // unless FILE is a .thimble
};

void add_file_argument(CLI::App& command, std::string& path);
// What `--dim` says, and the option itself.
void add_dim_option(CLI::App& command, Globals& globals);
Expected<ir::DimRanges> dims_of(const Globals& globals);

// `--dim` with a .thimble is an error: its sizes were settled when it was written.
Expected<Opened> open_any(const std::string& path, Environment& environment);
// Here it is not, for the caller has a use for it.
Expected<Opened> open_whatever_dims(const std::string& path, Environment& environment);
// Reads a model that isn't a .thimble, with the sizes that `--dim` gives.
Expected<ir::Model> read_source(const std::string& path, const Globals& globals);
bool is_thimble(const std::string& path);
// Of sizes that are open yet: what --dim allowed them when the model was read or written.
ir::DimRanges ranges_of(const Opened& opened);

// The tokenizer of a model that needs one to be used with text; an error says that there is none.
Expected<tokenizer::Tokenizer> tokenizer_of(const program::Bundle& bundle, const std::string& path);

std::uint64_t tensor_bytes(const program::Program& program, const program::Tensor& tensor);
std::uint64_t payload_bytes(const program::Bundle& bundle);  // of all tensors
double bits_per_weight(std::uint64_t payload, std::uint64_t parameters);
double bits_per_weight(const program::Bundle& bundle);
double bits_per_weight(const Opened& opened);  // as its file has them
Expected<std::uint64_t> size_option(const std::string& text, const std::string& option);

}  // namespace thimble::cli
