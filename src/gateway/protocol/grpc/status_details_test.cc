#include "gateway/protocol/grpc/status_details.h"

#include <google/rpc/status.pb.h>
#include <gtest/gtest.h>

namespace autoglm::protocol::grpc {
namespace {

std::string decoded(std::string_view text) {
  constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (const char c : text) {
    bits = bits << 6U | static_cast<std::uint32_t>(kLetters.find(c));
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out += static_cast<char>(bits >> count & 0xffU);
  }
  return out;
}

TEST(GrpcStatus, AMessageIsPrintableAscii) {
  EXPECT_EQ(percent_encoded("plain (text)"), "plain (text)");
  EXPECT_EQ(percent_encoded("50% é\n"), "50%25 %C3%A9%0A");
}

TEST(GrpcStatus, Base64HasNoPadding) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg");
  EXPECT_EQ(base64("fo"), "Zm8");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
}

TEST(GrpcStatus, DetailsNameTheFieldTheReasonAndTheTimeToWait) {
  Error error = invalid_field("sampling.top_p", "sampling.top_p must be lower");
  error.retry_after = std::chrono::seconds(3);
  google::rpc::Status status;
  ASSERT_TRUE(status.ParseFromString(decoded(status_details(error))));
  EXPECT_EQ(status.code(), 3);
  EXPECT_EQ(status.message(), error.message);
  ASSERT_EQ(status.details_size(), 3);
  EXPECT_EQ(status.details(0).type_url(), "type.googleapis.com/google.rpc.BadRequest");
  google::rpc::BadRequest bad;
  ASSERT_TRUE(bad.ParseFromString(status.details(0).value()));
  EXPECT_EQ(bad.field_violations(0).field(), "sampling.top_p");
  EXPECT_EQ(bad.field_violations(0).description(), error.message);
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(info.ParseFromString(status.details(1).value()));
  EXPECT_EQ(info.reason(), "invalid_value");
  google::rpc::RetryInfo retry;
  ASSERT_TRUE(retry.ParseFromString(status.details(2).value()));
  EXPECT_EQ(retry.retry_delay().seconds(), 3);
}

TEST(GrpcStatus, AnErrorWithoutMoreHasNoDetails) {
  EXPECT_EQ(status_details({.code = ErrorCode::kInternal, .message = "broken"}), "");
}

}  // namespace
}  // namespace autoglm::protocol::grpc
