#include "gateway/front/http/response_store.h"

#include <utility>

namespace autoglm::gateway {

namespace {

constexpr std::size_t kObject = 128;  // about what a list's or a map's node takes

std::size_t size_of(const ConversationStep& step) {
  std::size_t size = sizeof step + kObject;
  for (const ChatMessage& message : step.messages) size += message_size(message);
  return size;
}

std::size_t size_of(const std::vector<std::string>& items) {
  std::size_t size = 0;
  for (const std::string& item : items) size += sizeof item + item.size();
  return size;
}

std::size_t size_of(const StoredResponse& response, std::string_view key) {
  return sizeof response + 3 * kObject + 3 * key.size() + response.document.size() + size_of(response.items);
}

/// A tenant's name may hold any bytes, and its length says where it ends.
std::string key_of(std::string_view tenant, std::string_view id) {
  return std::to_string(tenant.size()).append(":").append(tenant).append(id);
}

}  // namespace

std::size_t message_size(const ChatMessage& message) {
  std::size_t size = sizeof message + message.role.size() + message.content.size() + message.name.size() +
                     message.reasoning.size() + message.tool_call_id.size();
  for (const ToolCall& call : message.tool_calls)
    size += sizeof call + call.id.size() + call.name.size() + call.arguments.size();
  return size;
}

CountedBytes::CountedBytes(std::shared_ptr<std::atomic<std::size_t>> sum, std::size_t bytes)
    : sum_(std::move(sum)), bytes_(bytes) {
  sum_->fetch_add(bytes_);
}

CountedBytes::~CountedBytes() { sum_->fetch_sub(bytes_); }

std::shared_ptr<const CountedBytes> ResponseStore::hold(const ConversationStep& step,
                                                        const std::vector<std::string>& items) const {
  auto held = std::make_shared<const CountedBytes>(held_, size_of(step) + size_of(items));
  return held_->load() <= limits_.max_bytes / 2 ? held : nullptr;
}

std::shared_ptr<const CountedBytes> ResponseStore::make_room(std::size_t bytes, const std::string& tenant,
                                                             MonotonicTime now) {
  if (bytes > limits_.max_bytes) return nullptr;
  auto counted = std::make_shared<const CountedBytes>(bytes_, bytes);
  while (true) {
    Entries gone;  // declared first, so that it is let go without the lock
    const std::lock_guard lock(mutex_);
    expire(now, gone);
    if (!gone.empty()) continue;  // what it took is free in the next round
    if (bytes_->load() <= limits_.max_bytes) return counted;
    if (entries_.empty()) return nullptr;  // conversations that others use hold the rest
    const auto own = by_tenant_.lower_bound({tenant, 0});
    take(own != by_tenant_.end() && own->first.first == tenant ? own->second : entries_.begin(), gone);
  }
}

void ResponseStore::put(std::string_view tenant, std::string_view id, StoredResponse response,
                        std::shared_ptr<ConversationStep> step, MonotonicTime now) {
  std::string key = key_of(tenant, id);
  const std::string name(tenant);
  step->counted = make_room(size_of(*step), name, now);
  response.counted = make_room(size_of(response, key), name, now);
  if (!step->counted || !response.counted) return;
  response.step = std::move(step);
  auto kept = std::make_shared<const StoredResponse>(std::move(response));
  Entries gone;
  const std::lock_guard lock(mutex_);
  if (const auto found = by_key_.find(key); found != by_key_.end()) take(found->second, gone);
  entries_.push_back({.key = std::move(key), .stored = now, .response = std::move(kept), .of_tenant = {}});
  const auto entry = std::prev(entries_.end());
  by_key_.emplace(entry->key, entry);
  entry->of_tenant = by_tenant_.emplace(std::pair(name, stored_++), entry).first;
}

std::shared_ptr<const StoredResponse> ResponseStore::find(std::string_view tenant, std::string_view id,
                                                          MonotonicTime now) {
  const std::string key = key_of(tenant, id);
  Entries gone;
  const std::lock_guard lock(mutex_);
  expire(now, gone);
  const auto found = by_key_.find(key);
  return found == by_key_.end() ? nullptr : found->second->response;
}

bool ResponseStore::erase(std::string_view tenant, std::string_view id, MonotonicTime now) {
  const std::string key = key_of(tenant, id);
  Entries gone;
  const std::lock_guard lock(mutex_);
  expire(now, gone);
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return false;
  take(found->second, gone);
  return true;
}

std::size_t ResponseStore::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

void ResponseStore::expire(MonotonicTime now, Entries& gone) {
  while (!entries_.empty() && now - entries_.front().stored >= limits_.ttl) take(entries_.begin(), gone);
}

void ResponseStore::take(Entries::iterator entry, Entries& gone) {
  by_key_.erase(entry->key);
  by_tenant_.erase(entry->of_tenant);
  gone.splice(gone.end(), entries_, entry);
}

}  // namespace autoglm::gateway
