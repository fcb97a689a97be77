#pragma once
// Tables for terminals: columns as wide as they need, numbers to the right, at most `width` columns
// (the first column gives way, cut in its middle with "…").

#include <string>
#include <vector>

namespace thimble::report {

struct Column {
  std::string title;
  bool right = false;
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  bool empty() const { return rows_.empty(); }
  std::string to_text(int width = 80) const;
  std::string to_markdown() const;
  void print() const;  // to stdout, as wide as its terminal

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace thimble::report
