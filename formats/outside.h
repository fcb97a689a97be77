#pragma once
// What readers of mapped files say alike.

#include "support/error.h"

namespace thimble::formats {

// Of a tensor that the file is too short for.
inline Error outside_file() {
  return invalid_file("its bytes lie outside the file")
      .fix("get the file again: it was cut short or changed");
}

}  // namespace thimble::formats
