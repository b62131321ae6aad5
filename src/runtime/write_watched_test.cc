#include "runtime/write_watched.h"

#include "runtime/signal.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <string>

namespace autoglm {
namespace {

using namespace std::chrono_literals;

/// Its peer takes one byte at each look, `takes` in all; the write ends at `total`.
class SlowReader final : public ByteStream {
 public:
  explicit SlowReader(std::uint64_t takes, std::uint64_t total) : takes_(takes), total_(total) {}

  Task<Result<std::size_t>> read_some(std::span<char> /*buffer*/) override { co_return std::size_t{0}; }
  Task<Result<void>> write_all(std::span<const std::string_view> /*parts*/) override {
    co_await done_.wait();
    co_return Result<void>();
  }
  void watch(StreamWatch* /*watch*/) override {}
  bool peer_ended() const override { return false; }
  std::uint64_t taken() const override {
    ++looks;
    if (taken_ < takes_ && ++taken_ == total_) done_.set();
    return taken_;
  }
  Task<Result<void>> shutdown_write() override { co_return Result<void>(); }
  void close() override {}
  const std::string& peer() const override { return peer_; }

  mutable int looks = 0;

 private:
  std::uint64_t takes_;
  std::uint64_t total_;
  mutable std::uint64_t taken_ = 0;
  mutable Signal done_;
  std::string peer_;
};

Result<void> write_to(SlowReader& reader) {
  EventLoop loop;
  return run_task(loop, [&]() -> Task<Result<void>> {
    const std::string_view parts[] = {"text"};
    co_return co_await WriteWatched(reader, parts, 4ms, "sending");
  }());
}

TEST(WriteWatched, GoesOnAsLongAsThePeerTakesSome) {
  SlowReader reader(50, 50);
  EXPECT_TRUE(write_to(reader)) << "ten times as long as it may stand still";
  EXPECT_EQ(reader.looks, 50);
}

TEST(WriteWatched, EndsWhenThePeerTakesNothingAnyMore) {
  SlowReader reader(10, 50);
  const auto written = write_to(reader);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::kDeadlineExceeded);
  EXPECT_EQ(written.error().message, "sending took too long");
  EXPECT_GT(reader.looks, 10);
}

}  // namespace
}  // namespace autoglm
