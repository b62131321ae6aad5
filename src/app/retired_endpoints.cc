#include "app/retired_endpoints.h"

#include <algorithm>
#include <utility>

namespace autoglm::app {

void RetiredEndpoints::sweep() {
  const auto unused = std::ranges::partition(
      in_use_, [](const std::shared_ptr<Endpoint>& endpoint) { return endpoint.use_count() > 1; });
  for (std::shared_ptr<Endpoint>& endpoint : unused) {
    // If the queue is full, which takes a thousand of them, the engine is destroyed here.
    (void)undertaker_->submit([last = std::move(endpoint)]() mutable { last.reset(); });
  }
  in_use_.erase(unused.begin(), unused.end());
}

void RetiredEndpoints::finish() {
  in_use_.clear();
  undertaker_.reset();
}

}  // namespace autoglm::app
