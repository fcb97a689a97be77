#pragma once
// Results of long passes, kept as they come: a folder beside the output with one file per finished
// weight. A run that was cut short is taken up by the next one of the same fingerprint and the same
// program; another one's clears the folder; success removes it. Files appear whole or not at all
// and carry a digest, so a crash at any moment costs at most the weight that was being worked on.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ir/weight.h"

namespace thimble::calibrate {

// A weight that is done: its rows lie in the folder, mapped.
struct Finished {
  std::shared_ptr<const ir::WeightSource> source;
  std::vector<double> figures;  // what the pass wants to know again: errors for the report
};

class Journal {
 public:
  // A journal of one output is one run's alone: another run's is refused until it is done. Folders
  // of measurements are shared. File systems without locks go without.
  enum class Use : std::uint8_t { kShared, kAlone };
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // Makes the folder when it isn't there. Files in it that aren't ours are left alone. `program`
  // names the code that computes: what another one computed isn't taken up.
  static Expected<std::unique_ptr<Journal>> open(const std::string& folder,
                                                 const std::string& fingerprint,
                                                 const std::string& program = "",
                                                 Use use = Use::kShared);
  // Whose results lay in the folder and were removed; empty: nobody's.
  const std::string& dropped() const { return dropped_; }

  // Removes what a run that was killed at its very end left in such a folder; fine without one. One
  // that a run has alone stays.
  static Status discard(const std::string& folder);

  // What an earlier run finished under this key, for a weight of this shape and encoding; a damaged
  // file counts as none.
  std::optional<Finished> find(const std::string& key, const ir::Weight& weight) const;
  // Writes all rows of `weight` (shape and encoding; not per tensor), and gives them back mapped.
  Expected<Finished> add(const std::string& key, const ir::Weight& weight, const ir::Rows& rows,
                         std::vector<double> figures) const;
  // The same for figures that belong to no weight.
  std::optional<std::vector<double>> find_figures(const std::string& key) const;
  Status add_figures(const std::string& key, std::vector<double> figures) const;
  // Mappings stay valid.
  Status remove() const;

 private:
  explicit Journal(std::string folder) : folder_(std::move(folder)) {}
  std::string path_of(const std::string& key) const;
  Expected<Finished> write(const std::string& key, const ir::Rows& rows,
                           const std::vector<double>& figures) const;
  Expected<std::size_t> clear() const;  // how many results there were
  Expected<bool> lock();                // false: another run has it

  std::string folder_, dropped_;
  int lock_ = -1;  // the folder's descriptor
};

}  // namespace thimble::calibrate
