#pragma once

#include "base/result.h"
#include "inference/events.h"
#include "runtime/event_loop.h"
#include "runtime/signal.h"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace autoglm::engine {

/// Carries one request's events from the engine's thread to the loop that made the request. Shared by both
/// sides; everything but the atomics belongs to the loop.
struct Delivery {
  explicit Delivery(EventLoop& target) : loop(target) {}

  /// A reader this many tokens behind pauses its generation; the generation resumes at half.
  static constexpr std::uint32_t kPauseAt = 256;

  EventLoop& loop;
  std::atomic<std::uint32_t> undelivered{0};  ///< tokens pushed but not yet pulled
  std::atomic<bool> paused{false};            ///< set by the engine, which then wants a wake-up

  std::vector<TokenEvent> events;
  std::shared_ptr<const WholeAnswer> answer;
  std::optional<Usage> usage;
  std::optional<Error> error;
  bool closed = false;  ///< the stream is gone
  Signal news;
};

/// Collects what a step produced, so that each loop is woken once per step and not once per token. Belongs to
/// the engine's thread.
class Outbox {
 public:
  void add(const std::shared_ptr<Delivery>& to, TokenEvent event);
  void end(const std::shared_ptr<Delivery>& to, const Usage& usage);
  /// The answer to a request that asks for no text, and its end.
  void answer(const std::shared_ptr<Delivery>& to, WholeAnswer answer, const Usage& usage);
  void fail(const std::shared_ptr<Delivery>& to, Error error);
  /// Hands everything over with one post per loop.
  void flush();

 private:
  struct Item {
    std::shared_ptr<Delivery> to;
    std::optional<TokenEvent> event;
    std::shared_ptr<const WholeAnswer> answer;
    std::optional<Usage> usage;
    std::optional<Error> error;
  };
  std::vector<Item>& items_for(EventLoop& loop);

  std::vector<std::pair<EventLoop*, std::vector<Item>>> by_loop_;
};

/// The loop's end of a Delivery. Destroying it calls `on_cancel` unless the stream had ended.
class DeliveryStream final : public EventStream {
 public:
  struct Hooks {
    std::function<void()> cancel;  ///< the reader is gone
    std::function<void()> resume;  ///< a paused reader has caught up
  };
  DeliveryStream(std::shared_ptr<Delivery> delivery, Hooks hooks)
      : delivery_(std::move(delivery)), hooks_(std::move(hooks)) {}
  ~DeliveryStream() override;

  Task<Result<EventBatch>> next() override;

 private:
  std::shared_ptr<Delivery> delivery_;
  Hooks hooks_;
  bool ended_ = false;
};

}  // namespace autoglm::engine
