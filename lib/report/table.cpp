#include "report/table.h"

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <unistd.h>

#include "support/system.h"

namespace thimble::report {
namespace {

// Columns on a terminal: code points, which is right for the letters and signs that we print.
std::size_t display_width(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

// Where the character of that number begins.
std::size_t place_of(const std::string& text, std::size_t character) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    const bool begins = (static_cast<unsigned char>(text[at]) & 0xc0) != 0x80;
    if (begins && character-- == 0) return at;
  }
  return text.size();
}

std::string cut_middle(const std::string& text, std::size_t width) {
  const std::size_t characters = display_width(text);
  if (characters <= width || width < 5) return text;
  const std::size_t head = (width - 1) / 2, tail = width - 1 - head;
  return text.substr(0, place_of(text, head)) + "…" +
         text.substr(place_of(text, characters - tail));
}

std::string padded(const std::string& text, std::size_t width, bool right) {
  const std::size_t used = display_width(text);
  const std::string space(width > used ? width - used : 0, ' ');
  return right ? space + text : text + space;
}

}  // namespace

std::string Table::to_text(int width) const {
  constexpr std::size_t kGap = 2;
  std::vector<std::size_t> widths;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    std::size_t widest = display_width(columns_[c].title);
    for (const auto& row : rows_) widest = std::max(widest, display_width(row[c]));
    widths.push_back(widest);
  }
  const std::size_t total =
      std::accumulate(widths.begin(), widths.end(), std::size_t{0}) + kGap * (widths.size() - 1);
  if (const auto limit = static_cast<std::size_t>(width); total > limit) {
    // The first column gives way, and where that would leave too little of its names the widest of
    // the other texts, then each some more.
    constexpr std::size_t kName = 38, kOther = 20, kLeastName = 20, kLeastOther = 12;
    std::size_t excess = total - limit;
    const auto narrow = [&](std::size_t c, std::size_t least) {
      const std::size_t cut = std::min(excess, widths[c] - std::min(widths[c], least));
      widths[c] -= cut;
      excess -= cut;
    };
    narrow(0, kName);
    std::size_t other = 0;
    for (std::size_t c = 1; c < columns_.size(); ++c) {
      if (!columns_[c].right && (other == 0 || widths[c] > widths[other])) other = c;
    }
    if (other > 0) narrow(other, kOther);
    narrow(0, kLeastName);
    if (other > 0) narrow(other, kLeastOther);
  }
  std::string out;
  auto add_row = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (std::size_t c = 0; c < cells.size(); ++c) {
      if (c > 0) line += std::string(kGap, ' ');
      line += padded(columns_[c].right ? cells[c] : cut_middle(cells[c], widths[c]), widths[c],
                     columns_[c].right);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  };
  std::vector<std::string> titles;
  for (const Column& column : columns_) titles.push_back(column.title);
  add_row(titles);
  for (const auto& row : rows_) add_row(row);
  return out;
}

void Table::print() const {
  std::printf("%s", to_text(system::terminal_width(STDOUT_FILENO)).c_str());
}

std::string Table::to_markdown() const {
  std::string out = "|", rule = "|";
  for (const Column& column : columns_) {
    out += " " + column.title + " |";
    rule += column.right ? "---:|" : "---|";
  }
  out += "\n" + rule + "\n";
  for (const auto& row : rows_) {
    out += "|";
    for (const std::string& cell : row) out += " " + cell + " |";
    out += "\n";
  }
  return out;
}

}  // namespace thimble::report
