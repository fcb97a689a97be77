#pragma once
#include <CLI/CLI.hpp>

namespace thimble::cli {

// CLI11's formatter doesn't wrap: this one keeps help within 80 columns.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string name,
                        CLI::AppFormatMode mode) const override;
};

}  // namespace thimble::cli
