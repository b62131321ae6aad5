#include "base/function_ref.h"

#include <gtest/gtest.h>

#include <memory>

namespace autoglm {
namespace {

int twice(FunctionRef<int(int)> function) { return function(function(1)); }

TEST(FunctionRef, CallsWhatItsCallerKeeps) {
  int calls = 0;
  const auto add = [&calls](int n) { return n + ++calls; };
  EXPECT_EQ(twice(add), 1 + 1 + 2);
  EXPECT_EQ(calls, 2);
  auto count = [n = 0](int) mutable { return ++n; };
  EXPECT_EQ(twice(count), 2);
  EXPECT_EQ(count(0), 3);  // the original was called, not a copy
}

TEST(FunctionRef, PassesOnWhatCannotBeCopied) {
  const auto take = [](std::unique_ptr<int> value) { return *value; };
  const FunctionRef<int(std::unique_ptr<int>)> function = take;
  EXPECT_EQ(function(std::make_unique<int>(7)), 7);
}

}  // namespace
}  // namespace autoglm
