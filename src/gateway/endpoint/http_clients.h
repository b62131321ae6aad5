#pragma once

#include "base/assert.h"
#include "http/client.h"
#include "http/shared_limits.h"
#include "runtime/blocking_pool.h"
#include "runtime/event_loop.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

namespace autoglm::gateway {

/// The HTTP client of each loop, which keeps connections to all endpoints. Filled before any request; each
/// client is made and destroyed on its own loop's thread.
class HttpClients {
 public:
  /// An entry for each loop's client; call it for all loops before any of them runs `attach`.
  void reserve(EventLoop& loop) { clients_.emplace_back(&loop, nullptr); }
  void attach(EventLoop& loop, std::unique_ptr<http::Client> client) { client_of(loop) = std::move(client); }
  void detach(EventLoop& loop) { client_of(loop).reset(); }
  /// Sets what all clients share, before any request: the bound for the memory of all answers (null: none),
  /// and a pool that parses long answers (null: done on the loop), which must outlive the clients.
  void share(std::shared_ptr<http::BodyMemory> answer_memory, BlockingPool* pool) {
    answer_memory_ = std::move(answer_memory);
    pool_ = pool;
  }
  http::BodyMemory* answer_memory() const { return answer_memory_.get(); }
  BlockingPool* pool() const { return pool_; }

  http::Client& of(const EventLoop& loop) {
    auto& client = client_of(loop);
    AUTOGLM_ASSERT(client != nullptr, "this loop has no HTTP client");
    return *client;
  }
  http::Client& of_this_loop() { return of(EventLoop::current()); }

 private:
  std::unique_ptr<http::Client>& client_of(const EventLoop& loop) {
    const auto found = std::ranges::find(clients_, &loop, [](const auto& entry) { return entry.first; });
    AUTOGLM_ASSERT(found != clients_.end(), "an unknown loop");
    return found->second;
  }

  std::vector<std::pair<EventLoop*, std::unique_ptr<http::Client>>> clients_;
  std::shared_ptr<http::BodyMemory> answer_memory_;
  BlockingPool* pool_ = nullptr;
};

}  // namespace autoglm::gateway
