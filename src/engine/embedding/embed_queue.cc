#include "engine/embedding/embed_queue.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace autoglm::engine {

void EmbedQueue::add(GenerationId id, std::uint8_t priority, std::vector<std::uint32_t> lengths) {
  tokens_ += std::accumulate(lengths.begin(), lengths.end(), std::uint64_t{0});
  const auto behind =
      std::ranges::find_if(requests_, [priority](const Request& other) { return other.priority < priority; });
  requests_.insert(behind, {.id = id, .priority = priority, .lengths = std::move(lengths)});
}

void EmbedQueue::remove(GenerationId id) {
  const auto found = std::ranges::find(requests_, id, &Request::id);
  if (found == requests_.end()) return;
  tokens_ -= std::accumulate(found->lengths.begin() + static_cast<std::ptrdiff_t>(found->next),
                             found->lengths.end(), std::uint64_t{0});
  requests_.erase(found);
}

std::vector<EmbedQueue::Pick> EmbedQueue::plan() const {
  std::vector<Pick> picks;
  std::uint32_t tokens = 0;
  std::vector<std::size_t> given(requests_.size());
  const auto fits = [&](std::uint32_t length) { return picks.empty() || tokens + length <= max_tokens_; };
  // Each pass takes one sequence of each request that has one which fits; priorities do not mix.
  for (std::size_t begin = 0; begin < requests_.size();) {
    std::size_t end = begin;
    while (end < requests_.size() && requests_[end].priority == requests_[begin].priority) ++end;
    for (bool took = true; took;) {
      took = false;
      for (std::size_t i = begin; i < end && picks.size() < max_sequences_; ++i) {
        const Request& request = requests_[i];
        const std::size_t next = request.next + given[i];
        if (next == request.lengths.size() || !fits(request.lengths[next])) continue;
        picks.push_back({request.id, next});
        tokens += request.lengths[next];
        ++given[i];
        took = true;
      }
    }
    begin = end;
  }
  return picks;
}

void EmbedQueue::take(const std::vector<Pick>& picks) {
  std::vector<bool> gave(requests_.size());
  for (const Pick& pick : picks) {
    const auto found = std::ranges::find(requests_, pick.id, &Request::id);
    if (found == requests_.end()) continue;
    tokens_ -= found->lengths[found->next];
    ++found->next;
    gave[static_cast<std::size_t>(found - requests_.begin())] = true;
  }
  std::vector<Request> waiting;
  for (std::size_t begin = 0; begin < requests_.size();) {
    std::size_t end = begin;
    while (end < requests_.size() && requests_[end].priority == requests_[begin].priority) ++end;
    for (const bool served : {false, true}) {
      for (std::size_t i = begin; i < end; ++i) {
        Request& request = requests_[i];
        if (gave[i] == served && request.next < request.lengths.size()) waiting.push_back(std::move(request));
      }
    }
    begin = end;
  }
  requests_ = std::move(waiting);
}

}  // namespace autoglm::engine
