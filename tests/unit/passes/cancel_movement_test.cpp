#include "unit/passes/same_results.h"

using namespace thimble::test;

TEST_CASE("transposes that follow each other merge or cancel") {
  CHECK(nodes_of(lossless("cancel-movement", R"(
graph main(%x: f32[n, 2, 4]) {
  %a = Transpose(%x) {perm = [1, 2, 0]}
  %b = Transpose(%a) {perm = [2, 0, 1]}
  %c = Transpose(%a) {perm = [1, 0, 2]}
  %d = Relu(%b)
  return %c, %d
})")) == "c = Transpose(x)\nd = Relu(x)\n");
}

TEST_CASE("movements meet across elementwise nodes") {
  CHECK(nodes_of(lossless("cancel-movement", R"(
graph main(%x: f32[n, 2, 4]) {
  %a = Transpose(%x) {perm = [0, 2, 1]}
  %b = Relu(%a)
  %c = Neg(%b)
  %d = Transpose(%c) {perm = [0, 2, 1]}
  %y = Abs(%d)
  return %y
})")) == "b.1 = Relu(x)\nc.1 = Neg(b.1)\ny = Abs(c.1)\n");
  CHECK(nodes_of(lossless("cancel-movement", R"(
weight @flat: i64[2] = [0, 8]
weight @whole: i64[3] = [-1, 2, 4]
graph main(%x: f32[n, 2, 4]) {
  %a = Reshape(%x, @flat)
  %b = Relu(%a)
  %c = Reshape(%b, @whole)
  %y = Add(%c, %x)
  return %y
})")) == "b.1 = Relu(x)\ny = Add(b.1, x)\n");
}

TEST_CASE("reshapes become one, casts only where nothing is lost") {
  CHECK(nodes_of(lossless("cancel-movement", R"(
weight @axis: i64[1] = [0]
graph main(%x: f32[n, 2, 4]) {
  %a = Flatten(%x) {axis = 1}
  %b = Unsqueeze(%a, @axis)
  %y = Relu(%b)
  return %y
})")) == "b = Reshape(x, b.shape)\ny = Relu(b)\n");
  CHECK(nodes_of(lossless("cancel-movement", R"(
graph main(%x: i32[n], %y: f32[n]) {
  %a = Cast(%x) {to = 7}
  %b = Cast(%a) {to = 6}
  %c = Add(%b, %b)
  %d = Cast(%y) {to = 7}
  %e = Cast(%d) {to = 1}
  return %c, %e
})")) == "c = Add(x, x)\nd = Cast(y)\ne = Cast(d)\n");
}
