// thimble: reads the command line, runs one command, and turns its result into output and an exit
// status.

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <optional>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "report/json.h"
#include "support/system.h"
#include "text/pattern.h"
#include "tools/thimble/command.h"
#include "tools/thimble/help.h"

namespace thimble::cli {
namespace {

constexpr int kOurBug = 70;

void on_abort(int) { std::_Exit(kOurBug); }

// The result goes to stdout, the error to stderr; with --json the error is the result.
int report_error(const Error& error, bool json) {
  if (json) report::print(report::error(error));
  std::fprintf(stderr, "%s\n", error.to_string().c_str());
  if (error.code == ErrorCode::kInterrupted && system::interrupt_signal() == SIGTERM) return 143;
  return exit_status(error.code);
}

int run_selected(const Globals& globals, const Selected& selected) {
  try {
    Environment environment(globals);
    const auto result = selected.run(environment);
    environment.progress.end();  // an error in the middle of a phase gets a line of its own
    return result ? *result : report_error(result.error(), globals.json);
  } catch (const std::bad_alloc&) {
    return report_error(Error(ErrorCode::kResource, "out of memory")
                            .fix("use a machine with more, or fewer threads"),
                        globals.json);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "thimble: internal error: %s\n", e.what());
    return kOurBug;
  }
}

void add_commands(CLI::App& app, Globals& globals, Selected& selected) {
  for (const auto add : {add_compress, add_convert, add_plan, add_inspect, add_run, add_eval,
                         add_compare, add_check, add_bench, add_imatrix, add_passes, add_recipe}) {
    add(app, globals, selected);
  }
}

// `help COMMAND` and `version` are what others say for `COMMAND --help` and `--version`.
std::vector<char*> as_options(int argc, char** argv) {
  static char help[] = "--help", version[] = "--version";
  std::vector<char*> words(argv, argv + argc);
  if (argc < 2) return words;
  const std::string_view first = argv[1];
  if (first == "version") words[1] = version;
  if (first == "help") {
    words.erase(words.begin() + 1);
    words.push_back(help);
  }
  return words;
}

bool wants_json(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--json") return true;
  }
  return false;
}

// No command, or a mistyped one, before the parser takes it for something else.
std::optional<Error> unknown_command(const CLI::App& app, int argc, char** argv) {
  if (argc < 2) return Error(ErrorCode::kUsage, "no command is given").fix("thimble --help");
  if (argv[1][0] == '-') return std::nullopt;
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_name() == argv[1]) return std::nullopt;
    names.push_back(command->get_name());
  }
  names.insert(names.end(), {"help", "version"});
  return Error(ErrorCode::kUsage,
               "unknown command '" + std::string(argv[1]) + "'" + did_you_mean(argv[1], names))
      .fix("thimble --help");
}

// "--bits" of "--bits=4": the nearest option, or else one that begins so.
std::string nearest_option(const CLI::App& command, const std::string& given) {
  const std::string word = given.substr(std::min(given.find_first_not_of('-'), given.size()));
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back(name);
  std::string near = nearest(word, names);
  for (const std::string& name : names) {
    if (near.empty() && word.size() > 1 && name.starts_with(word)) near = name;
  }
  return near.empty() ? "" : " (did you mean '--" + near + "'?)";
}

// Of what the parser couldn't place the first: an option that isn't there, or a word too many.
Error unexpected(const CLI::App& app, const std::string& remedy) {
  const std::vector<std::string> rest = app.remaining(true);
  const std::string word = rest.empty() ? "" : rest.front().substr(0, rest.front().find('='));
  const auto commands = app.get_subcommands();
  if (!word.starts_with('-') || commands.empty())
    return Error(ErrorCode::kUsage, "unexpected argument '" + word + "'").fix(remedy);
  return Error(ErrorCode::kUsage,
               "unknown option '" + word + "'" + nearest_option(*commands.front(), word))
      .fix(remedy);
}

// Where the command that is meant says what it takes.
std::string help_of(const CLI::App& app) {
  const auto commands = app.get_subcommands();
  return commands.empty() ? "thimble --help"
                          : "thimble " + commands.front()->get_name() + " --help";
}

int main_checked(int argc, char** argv) {
  Globals globals;
  Selected selected;
  CLI::App app("Makes models small enough for a device, and proves that they still work.",
               "thimble");
  app.formatter(std::make_shared<HelpFormatter>());
  app.set_version_flag("--version", "thimble " THIMBLE_VERSION);
  app.set_help_flag("-h,--help", "Print this and leave");
  app.require_subcommand(1);
  app.footer("thimble COMMAND --help tells more of each.");
  add_commands(app, globals, selected);
  if (const auto error = unknown_command(app, argc, argv))
    return report_error(*error, wants_json(argc, argv));
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {  // --help and --version
    return app.exit(success);
  } catch (const CLI::ExtrasError&) {
    return report_error(unexpected(app, help_of(app)), wants_json(argc, argv));
  } catch (const CLI::ParseError& e) {
    return report_error(Error(ErrorCode::kUsage, e.what()).fix(help_of(app)),
                        wants_json(argc, argv));
  }
  return run_selected(globals, selected);
}

}  // namespace

Environment::Environment(const Globals& g)
    : globals(g),
      pool(g.threads > 0 ? g.threads : ThreadPool::default_threads()),
      progress(g.quiet ? Progress::Style::kQuiet : Progress::Style::kAuto) {}

CLI::App* add_command(CLI::App& app, Globals& globals, Selected& selected, const std::string& name,
                      const std::string& summary, const std::string& examples, Run run) {
  CLI::App* command = app.add_subcommand(name, summary);
  command->set_help_flag("-h,--help", "Print this and leave");
  command->add_flag("--json", globals.json, "Print the result as JSON (versioned, stable keys)");
  command
      ->add_option("--threads", globals.threads,
                   "Threads to use; the default is what the process may use")
      ->check(whole_between(1, 1024))
      ->type_name("N");
  command->add_flag("-q,--quiet", globals.quiet, "No progress, no remarks");
  if (!examples.empty()) command->footer("examples:\n" + examples);
  command->callback([&selected, name, run = std::move(run)] {
    selected.name = name;
    selected.run = run;
  });
  return command;
}

CLI::Validator between(const std::string& least, const std::string& most) {
  return CLI::Validator(
      [least, most](const std::string& text) {
        double value = 0;
        const bool number = CLI::detail::lexical_cast(text, value);
        if (number && value >= std::stod(least) && value <= std::stod(most)) return std::string();
        return "'" + text + "' is no number from " + least + " to " + most;
      },
      "");
}

CLI::Validator whole_between(std::int64_t least, std::int64_t most) {
  return CLI::Validator(
      [least, most](const std::string& text) {
        std::int64_t value = 0;
        const bool whole = CLI::detail::lexical_cast(text, value);
        if (whole && value >= least && value <= most) return std::string();
        return "'" + text + "' is no whole number from " + std::to_string(least) + " to " +
               std::to_string(most);
      },
      "");
}

void add_count(CLI::App& command, const std::string& name, std::int64_t& value,
               const CountRange& range, const std::string& help) {
  command.add_option(name, value, help)
      ->check(whole_between(range.least, range.most))
      ->type_name("N");
}

}  // namespace thimble::cli

int main(int argc, char** argv) {
  std::signal(SIGABRT, thimble::cli::on_abort);
  std::signal(SIGPIPE, SIG_IGN);
  thimble::system::install_interrupt_handlers();
  thimble::text::use_patterns();
  std::vector<char*> words = thimble::cli::as_options(argc, argv);
  return thimble::cli::main_checked(static_cast<int>(words.size()), words.data());
}
