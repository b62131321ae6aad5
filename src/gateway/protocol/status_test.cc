#include "gateway/protocol/status.h"

#include <gtest/gtest.h>

namespace autoglm::protocol {
namespace {

TEST(Status, EachCodeHasOneOfHttpAndOneOfGrpc) {
  for (int i = 0; i <= static_cast<int>(ErrorCode::kDataLoss); ++i) {
    const auto code = static_cast<ErrorCode>(i);
    EXPECT_GE(http_status(code), 400) << to_string(code);
    EXPECT_GE(grpc_status(code), 1) << to_string(code);
    EXPECT_LE(grpc_status(code), 16) << to_string(code);
  }
}

TEST(Status, TellsGrpcsClientsWhatToDo) {
  EXPECT_EQ(grpc_status(ErrorCode::kInvalidArgument), 3);
  EXPECT_EQ(grpc_status(ErrorCode::kDeadlineExceeded), 4);
  EXPECT_EQ(grpc_status(ErrorCode::kNotFound), 5);
  EXPECT_EQ(grpc_status(ErrorCode::kResourceExhausted), 8);
  EXPECT_EQ(grpc_status(ErrorCode::kPayloadTooLarge), 8);
  EXPECT_EQ(grpc_status(ErrorCode::kUnimplemented), 12);
  EXPECT_EQ(grpc_status(ErrorCode::kUnavailable), 14);  // the one that they retry
  EXPECT_EQ(grpc_status(ErrorCode::kUnauthenticated), 16);
}

}  // namespace
}  // namespace autoglm::protocol
