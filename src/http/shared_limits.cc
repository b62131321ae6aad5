#include "http/shared_limits.h"

#include <arpa/inet.h>

#include <array>
#include <cstring>

namespace autoglm::http {

bool BodyMemory::Share::cover(std::size_t bytes) {
  if (memory_ == nullptr || bytes <= free_ || bytes <= held_) return true;
  const std::size_t more = bytes - held_;
  const std::size_t before = memory_->used_.fetch_add(more, std::memory_order_relaxed);
  if (before + more > memory_->limit_) {
    memory_->used_.fetch_sub(more, std::memory_order_relaxed);
    return false;
  }
  held_ = bytes;
  return true;
}

bool BodyMemory::Share::fit(std::size_t bytes) {
  if (memory_ == nullptr || bytes >= held_) return cover(bytes);
  const std::size_t rest = bytes <= free_ ? 0 : bytes;
  memory_->used_.fetch_sub(held_ - rest, std::memory_order_relaxed);
  held_ = rest;
  return true;
}

Error no_answer_memory() {
  return Error{.code = ErrorCode::kUnavailable,
               .retry = Retry::kLater,
               .message =
                   "other answers fill the memory there is for them (server.answer_memory); try again "
                   "shortly, or ask for less",
               .reason = "answer_memory",
               .retry_after = std::chrono::seconds(1)};
}

ConnectionCounts::Place::Place(ConnectionCounts* counts, std::string_view peer)
    : counts_(counts != nullptr && counts->limit_ > 0 ? counts : nullptr) {
  if (counts_ == nullptr) return;
  client_ = client_of(peer);
  const std::lock_guard lock(counts_->mutex_);
  std::uint32_t& connections = counts_->connections_[client_];
  granted_ = connections < counts_->limit_;
  if (granted_) ++connections;
}

ConnectionCounts::Place::~Place() {
  if (counts_ == nullptr || !granted_) return;
  const std::lock_guard lock(counts_->mutex_);
  const auto found = counts_->connections_.find(client_);
  if (--found->second == 0) counts_->connections_.erase(found);
}

std::size_t ConnectionCounts::clients() const {
  const std::lock_guard lock(mutex_);
  return connections_.size();
}

std::string client_of(std::string_view peer) {
  const std::size_t colon = peer.rfind(':');
  std::string address(peer.substr(0, colon));
  if (address.size() < 2 || address.front() != '[' || address.back() != ']') return address;
  address = address.substr(1, address.size() - 2);
  std::array<unsigned char, 16> bytes{};
  if (inet_pton(AF_INET6, address.c_str(), bytes.data()) != 1) return address;
  static constexpr std::array<unsigned char, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (std::memcmp(bytes.data(), kMapped.data(), kMapped.size()) != 0) std::memset(bytes.data() + 8, 0, 8);
  std::array<char, INET6_ADDRSTRLEN> text{};
  return inet_ntop(AF_INET6, bytes.data(), text.data(), text.size());
}

}  // namespace autoglm::http
