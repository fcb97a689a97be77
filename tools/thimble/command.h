#pragma once
// What subcommands share. Each lives in a file of its own, adds itself to the command line with
// add_NAME, and leaves its work in `Selected::run` when the user chose it.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "support/expected.h"
#include "support/progress.h"
#include "support/thread_pool.h"

namespace thimble::cli {

// Options that every command has.
struct Globals {
  bool json = false;
  bool quiet = false;
  bool strict = false;
  int threads = 0;                // 0: as many as the process may use
  std::string max_memory;         // "2GB"; empty: no limit of ours
  std::vector<std::string> dims;  // "batch=1,seq=1..512"
};

// What a command works with, made once the command line is known to be right.
struct Environment {
  explicit Environment(const Globals& globals);
  const Globals& globals;
  ThreadPool pool;
  Progress progress;
};

// Returns the exit status: 0, or 3 when a gate wasn't met.
using Run = std::function<Expected<int>(Environment&)>;

struct Selected {
  std::string name;
  Run run;
};

// Adds a subcommand with the global options and examples under its help.
CLI::App* add_command(CLI::App& app, Globals& globals, Selected& selected, const std::string& name,
                      const std::string& summary, const std::string& examples, Run run);

// Checks of an option: a number from one to another, ends included, which no NaN is.
CLI::Validator between(const std::string& least, const std::string& most);
CLI::Validator whole_between(std::int64_t least, std::int64_t most);

// Adds an option that takes a whole number of the range, ends included.
struct CountRange {
  std::int64_t least, most;
};
void add_count(CLI::App& command, const std::string& name, std::int64_t& value,
               const CountRange& range, const std::string& help);

void add_compress(CLI::App& app, Globals& globals, Selected& selected);
void add_convert(CLI::App& app, Globals& globals, Selected& selected);
void add_plan(CLI::App& app, Globals& globals, Selected& selected);
void add_inspect(CLI::App& app, Globals& globals, Selected& selected);
void add_run(CLI::App& app, Globals& globals, Selected& selected);
void add_eval(CLI::App& app, Globals& globals, Selected& selected);
void add_compare(CLI::App& app, Globals& globals, Selected& selected);
void add_check(CLI::App& app, Globals& globals, Selected& selected);
void add_bench(CLI::App& app, Globals& globals, Selected& selected);
void add_imatrix(CLI::App& app, Globals& globals, Selected& selected);
void add_passes(CLI::App& app, Globals& globals, Selected& selected);
void add_recipe(CLI::App& app, Globals& globals, Selected& selected);

}  // namespace thimble::cli
