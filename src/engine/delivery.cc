#include "engine/delivery.h"

namespace autoglm::engine {

std::vector<Outbox::Item>& Outbox::items_for(EventLoop& loop) {
  for (auto& [target, items] : by_loop_) {
    if (target == &loop) return items;
  }
  return by_loop_.emplace_back(&loop, std::vector<Item>()).second;
}

void Outbox::add(const std::shared_ptr<Delivery>& to, TokenEvent event) {
  to->undelivered.fetch_add(static_cast<std::uint32_t>(event.tokens.size()), std::memory_order_relaxed);
  items_for(to->loop).push_back({.to = to, .event = std::move(event)});
}

void Outbox::end(const std::shared_ptr<Delivery>& to, const Usage& usage) {
  items_for(to->loop).push_back({.to = to, .usage = usage});
}

void Outbox::answer(const std::shared_ptr<Delivery>& to, WholeAnswer answer, const Usage& usage) {
  items_for(to->loop).push_back(
      {.to = to, .answer = std::make_shared<const WholeAnswer>(std::move(answer)), .usage = usage});
}

void Outbox::fail(const std::shared_ptr<Delivery>& to, Error error) {
  items_for(to->loop).push_back({.to = to, .error = std::move(error)});
}

void Outbox::flush() {
  for (auto& [loop, items] : by_loop_) {
    if (items.empty()) continue;
    loop->post([batch = std::move(items)]() mutable {
      for (Item& item : batch) {
        Delivery& to = *item.to;
        if (to.closed) continue;
        if (item.event) to.events.push_back(std::move(*item.event));
        if (item.answer) to.answer = std::move(item.answer);
        if (item.usage) to.usage = item.usage;
        if (item.error) to.error = std::move(item.error);
        to.news.set();
      }
    });
    items = {};
  }
}

DeliveryStream::~DeliveryStream() {
  delivery_->closed = true;
  if (!ended_) hooks_.cancel();
}

Task<Result<EventBatch>> DeliveryStream::next() {
  if (ended_) co_return fail(stream_is_over());
  Delivery& from = *delivery_;
  while (from.events.empty() && !from.usage && !from.error) {
    from.news.clear();
    co_await from.news.wait();
  }
  EventBatch batch;
  batch.events = std::exchange(from.events, {});
  std::uint32_t tokens = 0;
  for (const TokenEvent& event : batch.events) tokens += static_cast<std::uint32_t>(event.tokens.size());
  const std::uint32_t left = from.undelivered.fetch_sub(tokens, std::memory_order_relaxed) - tokens;
  if (left < Delivery::kPauseAt / 2 && from.paused.exchange(false)) hooks_.resume();
  if (batch.events.empty() && from.error) {
    ended_ = true;
    co_return fail(std::move(*from.error));
  }
  batch.answer = std::move(from.answer);
  batch.usage = from.error ? std::nullopt : from.usage;
  ended_ = batch.last();
  co_return batch;
}

}  // namespace autoglm::engine
