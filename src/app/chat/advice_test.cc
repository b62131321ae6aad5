#include "app/chat/advice.h"

#include <gtest/gtest.h>

namespace autoglm::app {
namespace {

TEST(Advice, SaysWhatToDo) {
  const auto about = [](const Error& error) { return advice(error, "http://h"); };
  EXPECT_EQ(about({.code = ErrorCode::kUnavailable, .reason = "connect_failed"}),
            "Nothing answers at http://h. Start a server with `open-autoglm serve`, or name another one with "
            "--url.");
  EXPECT_EQ(about({.code = ErrorCode::kInvalidArgument, .reason = "context_length_exceeded"}),
            "/reset begins a new conversation.");
  EXPECT_EQ(about({.code = ErrorCode::kUnauthenticated}), "Give a key with --api-key or OPENAI_API_KEY.");
  EXPECT_EQ(about({.code = ErrorCode::kNotFound}), "/model lists what there is.");
  EXPECT_EQ(about({.code = ErrorCode::kResourceExhausted, .retry_after = std::chrono::seconds(3)}),
            "Try again in 3 s.");
  EXPECT_EQ(about({.code = ErrorCode::kUnavailable}), "");
  EXPECT_EQ(about({.code = ErrorCode::kInternal}), "");
}

}  // namespace
}  // namespace autoglm::app
