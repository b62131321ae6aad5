#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <utility>

namespace autoglm::gateway {

/// Limits the retries under way to a share of all active requests, and a few in any case, so that retries do
/// not multiply the load of an outage. Envoy's retry budget. Thread-safe.
class RetryBudget {
 public:
  RetryBudget(std::uint32_t percent, std::uint32_t minimum) : percent_(percent), minimum_(minimum) {}

  /// Counts as one for as long as it lives.
  class Token {
   public:
    Token() = default;
    explicit Token(std::atomic<std::uint32_t>& count) : count_(&count) { count.fetch_add(1); }
    Token(Token&& other) noexcept : count_(std::exchange(other.count_, nullptr)) {}
    Token& operator=(Token&& other) noexcept {
      std::swap(count_, other.count_);
      return *this;
    }
    ~Token() {
      if (count_ != nullptr) count_->fetch_sub(1);
    }
    explicit operator bool() const { return count_ != nullptr; }

   private:
    std::atomic<std::uint32_t>* count_ = nullptr;
  };

  Token begin_request() { return Token(active_); }
  /// An empty one: the budget is spent.
  Token try_retry() {
    Token token(retries_);
    const std::uint64_t allowed =
        std::max<std::uint64_t>(minimum_, std::uint64_t{active_.load()} * percent_ / 100);
    return retries_.load() <= allowed ? std::move(token) : Token();
  }

 private:
  std::uint32_t percent_;
  std::uint32_t minimum_;
  std::atomic<std::uint32_t> active_{0};
  std::atomic<std::uint32_t> retries_{0};
};

}  // namespace autoglm::gateway
