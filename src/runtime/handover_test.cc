#include "runtime/handover.h"

#include "runtime/event_loop.h"
#include "runtime/race.h"
#include "runtime/scope.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <optional>
#include <string>

namespace autoglm {
namespace {

using namespace std::chrono_literals;

std::ptrdiff_t open_descriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                       std::filesystem::directory_iterator());
}

class HandoverTest : public ::testing::Test {
 protected:
  HandoverTest() {
    auto ends = make_handover();
    dialer_.emplace(ends->first.take(), "child");
    listener_.emplace(loop_, ends->second.take(), [this] { ++ends_; });
  }

  static Task<std::string> read_once(ByteStream& stream) {
    std::array<char, 64> buffer;
    const auto count = co_await stream.read_some(buffer);
    co_return count ? std::string(buffer.data(), *count) : count.error().message;
  }

  EventLoop loop_;
  int ends_ = 0;
  std::optional<HandoverDialer> dialer_;
  std::optional<HandoverListener> listener_;
};

TEST_F(HandoverTest, ConnectsBothWaysAndKeepsNoDescriptor) {
  const auto before = open_descriptors();
  run_task(loop_, [&]() -> Task<void> {
    for (int i = 0; i < 50; ++i) {
      auto ours = co_await dialer_->dial(Deadline::after(10s));
      auto theirs = co_await listener_->accept();
      EXPECT_TRUE((co_await (*ours)->write_all("ping")).has_value());
      EXPECT_EQ(co_await read_once(**theirs), "ping");
      EXPECT_TRUE((co_await (*theirs)->write_all("pong")).has_value());
      EXPECT_EQ(co_await read_once(**ours), "pong");
      ours->reset();
      EXPECT_EQ(co_await read_once(**theirs), "");
    }
  }());
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(HandoverTest, WaitsForAListenerThatIsBehind) {
  run_task(loop_, [&]() -> Task<void> {
    std::vector<std::unique_ptr<ByteStream>> kept;
    while (true) {  // until connections that are not accepted fill the socket
      auto stream = co_await dialer_->dial(Deadline::after(0s));
      if (!stream) {
        EXPECT_EQ(stream.error().code, ErrorCode::kDeadlineExceeded);
        break;
      }
      kept.push_back(std::move(*stream));
    }
    Scope scope;
    bool connected = false;
    scope.spawn([](HandoverDialer& dialer, bool& out) -> Task<void> {
      out = (co_await dialer.dial(Deadline::after(10s))).has_value();
    }(*dialer_, connected));
    for (std::size_t i = 0; i <= kept.size(); ++i) EXPECT_TRUE((co_await listener_->accept()).has_value());
    co_await scope.join();
    EXPECT_TRUE(connected);
  }());
}

TEST_F(HandoverTest, TellsTheEndOfEitherSide) {
  run_task(loop_, [&]() -> Task<void> {
    EXPECT_FALSE(dialer_->gone());
    Scope accepting;
    accepting.spawn([](HandoverListener& listener) -> Task<void> { co_await listener.accept(); }(*listener_));
    dialer_->hang_up();
    while (ends_ == 0) co_await yield_to_loop();
    accepting.cancel();
  }());
  EXPECT_EQ(ends_, 1);
  listener_.reset();
  EXPECT_TRUE(dialer_->gone());
  const auto refused = run_task(loop_, dialer_->dial(Deadline::after(10s)));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
}

TEST_F(HandoverTest, CarriesMessagesBack) {
  EXPECT_EQ(dialer_->take_message(), std::nullopt);
  EXPECT_TRUE(listener_->tell("one"));
  EXPECT_TRUE(listener_->tell(std::string(40'000, 'x')));
  EXPECT_EQ(dialer_->take_message(), "one");
  EXPECT_EQ(dialer_->take_message()->size(), 40'000U);
  EXPECT_EQ(dialer_->take_message(), std::nullopt);
}

}  // namespace
}  // namespace autoglm
