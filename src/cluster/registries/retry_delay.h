#pragma once

#include "base/clock.h"
#include "base/random.h"

#include <algorithm>

namespace autoglm::cluster {

/// How long to wait before a registry that failed is asked again: twice as long each time, up to `most`, and
/// somewhere in the upper half of that, lest all gateways come back at once. Not thread-safe.
class RetryDelay {
 public:
  explicit RetryDelay(Duration least = std::chrono::milliseconds(100),
                      Duration most = std::chrono::seconds(5))
      : least_(least), most_(most), next_(least) {}

  /// After a failure.
  Duration next(Random& random) {
    const Duration whole = next_;
    next_ = std::min(2 * next_, most_);
    return std::chrono::duration_cast<Duration>(whole * (0.5 + random.uniform() / 2));
  }
  /// After a success.
  void reset() { next_ = least_; }

 private:
  Duration least_, most_, next_;
};

}  // namespace autoglm::cluster
