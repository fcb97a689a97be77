#pragma once
// What is wrong with a text that somebody wrote, collected so that one reading tells all of it.

#include <utility>
#include <vector>

#include "support/expected.h"

namespace thimble {

class Mistakes {
 public:
  // The error, and those that it brings, if there is one.
  void add(Status status);
  template <class T>
  void add(Expected<T> result) {
    if (!result) add(Status(std::move(result).error()));
  }
  // Puts the value into the target, or keeps the error.
  template <class T, class Target>
  void take(Expected<T> result, Target& target) {
    if (result) {
      target = *std::move(result);
    } else {
      add(std::move(result).error());
    }
  }
  // The first in the order of files and places, with the others in its `more`. Of a place only what
  // was added first: the rest follows from it.
  Status status() &&;

 private:
  std::vector<Error> errors_;
};

}  // namespace thimble
