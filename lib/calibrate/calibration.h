#pragma once
// What passes that calibrate are given: samples of what the model will see, and the journal that
// their results go to.

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "calibrate/journal.h"
#include "calibrate/walk.h"
#include "data/chat.h"
#include "data/samples.h"
#include "data/text.h"
#include "eval/carry.h"

namespace thimble::calibrate {

struct TextOptions {
  std::int64_t tokens = 32768;  // at most; whole windows of `context`
  std::int64_t context = 0;     // 0: 512, or the model's limit if that is less
  std::int64_t stride = 0;      // from a window to the next, at most the context; 0: the context
};

// NumPy's name of the type of arrays for an input; empty where a calibration takes none. Halves are
// asked for as f32.
std::string descr_of(ir::DType type);

// What these options mean for a model. Errors: a context longer than the model's.
Expected<data::WindowOptions> window_options(const ir::Model& model, const TextOptions& options);

class Calibration {
 public:
  // Windows of a text as `thimble eval` cuts them, each a whole sequence from position 0. Errors: a
  // model without a tokenizer, an input that text can't fill, a text shorter than one window, a
  // context longer than the model's, or shorter than the stride.
  static Expected<Calibration> from_text(const ir::Model& model, std::string_view text,
                                         const TextOptions& options);
  // The same of conversations (data/chat.h) in the model's chat template. Errors also: a template
  // of no known form.
  static Expected<Calibration> from_chats(const ir::Model& model,
                                          const std::vector<data::Chat>& chats,
                                          const TextOptions& options);
  // The tokens of each window as one sequence. Errors: an input that text can't fill.
  static Expected<Calibration> from_windows(const ir::Model& model,
                                            const std::vector<data::Window>& windows);
  // The first `count` calls of a data set (0: all), held in memory. Carried states are what the
  // model itself gives from call to call. Errors: an input that the set lacks, or of another type.
  static Expected<Calibration> from_data(const ir::Model& model, const data::SampleSource& source,
                                         std::int64_t count,
                                         const std::vector<eval::CarriedState>& states,
                                         ThreadPool& pool);
  explicit Calibration(std::vector<Sample> samples) : samples_(std::move(samples)) {}

  std::span<const Sample> samples() const { return samples_; }

  // Means of squares of what the products of weights read, by the weights' names, from elsewhere
  // than the samples; empty: none.
  using Importance = std::map<std::string, std::vector<double>>;
  const Importance& importance() const { return importance_; }
  void set_importance(Importance importance) { importance_ = std::move(importance); }

  // Null where results are held in memory.
  Journal* journal() const { return journal_.get(); }
  void set_journal(std::shared_ptr<Journal> journal) { journal_ = std::move(journal); }

 private:
  std::vector<Sample> samples_;
  Importance importance_;
  std::shared_ptr<Journal> journal_;
};

// An input as a data set is to bring it; -1 for sizes that the model leaves open.
data::InputSpec input_spec(const ir::Value& input);
// The model's inputs but for its states.
std::vector<data::InputSpec> input_specs(const ir::Model& model);

}  // namespace thimble::calibrate
