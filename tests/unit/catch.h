#pragma once
// The one place that knows where Catch2 lives: version 2 on Debian 12, version 3 elsewhere.
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;
#else
#include <catch2/catch.hpp>
#endif
