#pragma once
#include <string>

#include <CLI/CLI.hpp>

namespace thimble::cli {

// Words of `text` in lines of at most 80 columns. The first starts at `column`, others at `indent`.
std::string wrapped(const std::string& text, std::size_t column, std::size_t indent);

// CLI11's formatter doesn't wrap: this one keeps help within 80 columns.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string name,
                        CLI::AppFormatMode mode) const override;
};

}  // namespace thimble::cli
