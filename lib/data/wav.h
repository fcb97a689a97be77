#pragma once
// RIFF WAVE sound: samples of one channel, and the frames that a model hears one after the other.
//
// Read: PCM of 8 (unsigned), 16, 24 and 32 bits, IEEE float of 32 and 64, plain or as
// WAVE_FORMAT_EXTENSIBLE; any chunks beside. A whole number becomes x / 2^(bits - 1), as most tools
// say; several channels become their mean. A `data` chunk of unknown length (a pipe's 0xffffffff)
// ends with the file. Nothing is resampled.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/samples.h"
#include "support/expected.h"

namespace thimble::data {

struct Wav {
  std::int64_t rate = 0;  // samples per second
  std::vector<float> samples;
};

Expected<Wav> read_wav(const std::string& path);

// How sound is cut. Frame i holds the `frame` samples up to (i + 1) * hop, as a stream delivers
// them: what lies before the beginning, and after the end, is 0.
struct Framing {
  std::int64_t frame = 0;  // samples that the model hears at once; 0: as its input says
  std::int64_t hop = 0;    // samples from one frame to the next; 0: the frame
  std::int64_t rate = 0;   // samples per second that the model wants; 0: whatever the file has
};

// A file, or each of a folder in the order of their names: for the model's one input of f32 that
// `fill` leaves, [..., frame] with ones in front. `fill` gives other inputs one number each, as in
// "sr=16000". A file's first frame begins a sequence.
Expected<std::unique_ptr<SampleSource>> wav_samples(const std::string& path, const Framing& framing,
                                                    const std::string& fill,
                                                    const std::vector<InputSpec>& inputs);

}  // namespace thimble::data
