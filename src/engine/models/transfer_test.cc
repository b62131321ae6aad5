#include "engine/models/transfer.h"

#include <gtest/gtest.h>

namespace autoglm::engine {
namespace {

using namespace std::chrono_literals;
using Step = Verdict::Step;

Verdict verdict(int status, std::uint64_t offset,
                std::initializer_list<std::pair<std::string_view, std::string_view>> fields = {}) {
  http::HeaderView headers;
  for (const auto& [name, value] : fields) headers.add(name, value);
  return Verdict::of(status, headers, offset);
}

TEST(Verdict, AppendsWhatGoesOnAndNothingElse) {
  EXPECT_EQ(verdict(200, 0, {{"Content-Length", "20"}}).step, Step::kAppend);
  EXPECT_EQ(verdict(200, 0, {{"Content-Length", "20"}}).total, 20U);
  EXPECT_EQ(verdict(206, 10, {{"Content-Range", "bytes 10-19/20"}}).step, Step::kAppend);
  EXPECT_EQ(verdict(206, 10, {{"Content-Range", "bytes 10-19/20"}}).total, 20U);
  EXPECT_EQ(verdict(206, 10, {{"Content-Range", "bytes 10-19/*"}}).total, std::nullopt);
  EXPECT_EQ(verdict(206, 10, {{"Content-Range", "bytes 0-19/20"}}).step, Step::kDiscard);
  EXPECT_EQ(verdict(206, 10, {{"Content-Range", "bytes 11-19/20"}}).step, Step::kDiscard);
  EXPECT_EQ(verdict(206, 10).step, Step::kDiscard);
}

TEST(Verdict, StartsOverWhereRangesAreIgnored) {
  EXPECT_EQ(verdict(200, 10, {{"Content-Length", "20"}}).step, Step::kRestart);
}

TEST(Verdict, KnowsWhenNothingMoreIsToCome) {
  EXPECT_EQ(verdict(416, 20, {{"Content-Range", "bytes */20"}}).step, Step::kComplete);
  EXPECT_EQ(verdict(416, 30, {{"Content-Range", "bytes */20"}}).step, Step::kDiscard);
  EXPECT_EQ(verdict(416, 30).step, Step::kDiscard);
  EXPECT_EQ(verdict(416, 0).step, Step::kRefused);
}

TEST(Verdict, TriesAgainWhatMayPass) {
  for (const int status : {408, 429, 500, 502, 503, 504})
    EXPECT_EQ(verdict(status, 0).step, Step::kRetry) << status;
  for (const int status : {400, 401, 403, 404, 410, 301})
    EXPECT_EQ(verdict(status, 0).step, Step::kRefused) << status;
  EXPECT_EQ(verdict(429, 0, {{"Retry-After", "7"}}).retry_after, 7s);
  EXPECT_EQ(verdict(429, 0, {{"Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT"}}).retry_after,
            0s);  // it has passed
}

TEST(Verdict, BelievesStrongTagsOnly) {
  EXPECT_EQ(verdict(200, 0, {{"ETag", "\"abc\""}}).etag, "\"abc\"");
  EXPECT_EQ(verdict(200, 0, {{"ETag", "W/\"abc\""}}).etag, "");
}

TEST(PartialNote, ReadsBackWhatItWrote) {
  const PartialNote note{.etag = "\"a b\"", .sha256 = "12", .bytes = 7};
  const auto same = PartialNote::parse(note.to_text());
  EXPECT_EQ(same.etag, note.etag);
  EXPECT_EQ(same.sha256, note.sha256);
  EXPECT_EQ(same.bytes, note.bytes);
  EXPECT_EQ(PartialNote::parse("garbage\n").bytes, std::nullopt);
}

TEST(PartialNote, IsResumedOnlyAsTheSameFile) {
  EXPECT_TRUE((PartialNote{.sha256 = "a"}.resumable("a")));
  EXPECT_FALSE((PartialNote{.sha256 = "a"}.resumable("b")));
  EXPECT_FALSE((PartialNote{.etag = "\"x\""}.resumable("b")));
  EXPECT_TRUE((PartialNote{.etag = "\"x\""}.resumable("")));
  EXPECT_FALSE(PartialNote{}.resumable(""));
}

TEST(RetryPolicy, WaitsLongerEachTimeAndThenGivesUp) {
  const RetryPolicy policy{.attempts = 4, .first = 1s, .longest = 3s, .patience = 10s};
  EXPECT_EQ(policy.wait(1, std::nullopt, 0.5), 1s);
  EXPECT_EQ(policy.wait(2, std::nullopt, 0.5), 2s);
  EXPECT_EQ(policy.wait(3, std::nullopt, 0.5), 3s);
  EXPECT_EQ(policy.wait(4, std::nullopt, 0.5), std::nullopt);
  EXPECT_EQ(policy.wait(1, 7s, 0.5), 7s);
  EXPECT_EQ(policy.wait(1, 11s, 0.5), std::nullopt);
}

}  // namespace
}  // namespace autoglm::engine
