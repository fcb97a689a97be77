#include "tools/thimble/help.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace thimble::cli {
namespace {

constexpr std::size_t kWidth = 80;

using Entry = std::pair<std::string, std::string>;

std::string entries(const std::string& title, const std::vector<Entry>& list) {
  if (list.empty()) return "";
  std::size_t longest = 0;
  for (const Entry& entry : list) longest = std::max(longest, entry.first.size());
  const std::size_t indent = std::min<std::size_t>(longest + 4, 30);
  std::string out = "\n" + title + ":\n";
  for (const auto& [left, right] : list) {
    std::string line = "  " + left;
    if (line.size() + 2 > indent) {
      line += "\n" + std::string(indent, ' ');
    } else {
      line += std::string(indent - line.size(), ' ');
    }
    out += line + wrapped(right, indent, indent) + "\n";
  }
  return out;
}

std::string option_text(const CLI::Option& option) {
  if (option.get_positional()) return option.get_name(true);
  std::string names;
  for (const std::string& name : option.get_snames()) names += (names.empty() ? "-" : ", -") + name;
  for (const std::string& name : option.get_lnames())
    names += (names.empty() ? "--" : ", --") + name;
  if (option.get_expected_min() > 0) {  // not a flag
    std::string type = option.get_type_name();
    type = type.substr(0, type.find(':'));  // the rest tells of validators
    names += " " + (type.empty() || type == "TEXT" ? std::string("VALUE") : type);
  }
  return names;
}

std::string usage(const CLI::App* app, const std::string& name) {
  std::string out = "usage: " + name;
  for (const CLI::Option* option : app->get_options()) {
    if (!option->get_positional()) continue;
    const std::string text = option->get_name(true);
    out += option->get_required() ? " " + text : " [" + text + "]";
  }
  if (!app->get_subcommands([](const CLI::App*) { return true; }).empty()) out += " COMMAND";
  return out + " [OPTIONS]\n";
}

}  // namespace

std::string wrapped(const std::string& text, std::size_t column, std::size_t indent) {
  std::string out;
  const auto begin_line = [&] {
    while (!out.empty() && out.back() == ' ') out.pop_back();
    out += "\n" + std::string(indent, ' ');
    column = indent;
  };
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find_first_of(" \n", at), text.size());
    if (column + (end - at) > kWidth && column > indent) begin_line();
    out += text.substr(at, end - at);
    column += end - at;
    if (end < text.size() && text[end] == '\n') begin_line();
    if (end < text.size() && text[end] == ' ' && column < kWidth) {
      out += ' ';
      ++column;
    }
    at = end + 1;
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

std::string HelpFormatter::make_help(const CLI::App* app, std::string name,
                                     CLI::AppFormatMode) const {
  std::string full = app->get_name();
  for (const CLI::App* parent = app->get_parent(); parent != nullptr;
       parent = parent->get_parent()) {
    if (!parent->get_name().empty()) full = parent->get_name() + " " + full;
  }
  if (full.empty()) full = std::move(name);
  std::vector<Entry> positionals, options, commands;
  for (const CLI::Option* option : app->get_options()) {
    (option->get_positional() ? positionals : options)
        .emplace_back(option_text(*option), option->get_description());
  }
  for (const CLI::App* sub : app->get_subcommands([](const CLI::App*) { return true; })) {
    commands.emplace_back(sub->get_name(), sub->get_description());
  }
  std::string out = wrapped(app->get_description(), 0, 0) + "\n\n" + usage(app, full);
  out += entries("commands", commands);
  out += entries("arguments", positionals);
  out += entries("options", options);
  if (!app->get_footer().empty()) out += "\n" + app->get_footer() + "\n";
  return out;
}

}  // namespace thimble::cli
