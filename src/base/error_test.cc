#include "base/error.h"

#include "base/result.h"

#include <gtest/gtest.h>

namespace autoglm {
namespace {

TEST(Error, DescribesItselfWithItsCauses) {
  const Error inner{.code = ErrorCode::kUnavailable, .message = "connection refused"};
  const Error outer = caused_by(Error{.code = ErrorCode::kBadGateway, .message = "endpoint a failed"}, inner);
  EXPECT_EQ(outer.describe(), "bad_gateway: endpoint a failed (cause: unavailable: connection refused)");
}

TEST(Error, InvalidFieldBlamesTheClient) {
  const Error error = invalid_field("temperature", "temperature must be between 0 and 2");
  EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(error.origin, Origin::kClient);
  EXPECT_EQ(error.retry, Retry::kNever);
  EXPECT_EQ(error.param, "temperature");
}

TEST(Result, CarriesAnErrorThroughAnyType) {
  const Result<int> result = fail(ErrorCode::kNotFound, "no such thing");
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace autoglm
