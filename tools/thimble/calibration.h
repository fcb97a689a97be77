#pragma once
// What passes that calibrate learn from, found before any work starts.

#include <memory>
#include <optional>
#include <string>

#include "calibrate/calibration.h"
#include "pass/pass.h"
#include "recipe/recipe.h"
#include "tools/thimble/command.h"

namespace thimble::cli {

struct CalibrationInput {
  std::string text;               // what the file holds, or
  std::vector<data::Chat> chats;  // conversations, or
  bool teacher = false;           // what the model writes, or
  recipe::DataSet data;           // the files of a data set
  std::string imatrix;            // a file, beside either or alone
  std::string digest;             // of all of them
  std::int64_t tokens = 0;        // of text at most
};

// What the recipe says; nothing when no pass calibrates. Data are read here, a text that the model
// writes itself is written by make_calibration.
Expected<std::optional<CalibrationInput>> find_calibration(const recipe::Recipe& recipe,
                                                           const pass::ManagerOptions& manager);
// The first `count` calls of a data set (0: all).
Expected<calibrate::Calibration> samples_of_data(const ir::Model& model, const recipe::DataSet& set,
                                                 std::int64_t count, ThreadPool& pool);
Expected<std::unique_ptr<calibrate::Calibration>> make_calibration(
    const ir::Model& model, const recipe::Recipe& recipe, const CalibrationInput& input,
    const calibrate::Journal* journal, Environment& environment);

// A journal whose results serve only the program that they are from, byte by byte: its code decides
// what they are. Tells the user where it drops another run's.
Expected<std::unique_ptr<calibrate::Journal>> open_journal(const std::string& folder,
                                                           const std::string& fingerprint,
                                                           calibrate::Journal::Use use,
                                                           Environment& environment);

}  // namespace thimble::cli
