#pragma once

#include "cluster/health/checks.h"

#include <cstddef>
#include <string>

namespace autoglm::cluster {

/// Checks that say what they were told to say.
class FakeChecks final : public Checks {
 public:
  Result<void> says;      ///< of the endpoint's health
  std::size_t asked = 0;  ///< for its health
  std::size_t load_asked = 0;

  Task<Result<void>> check(std::string, Duration) override {
    ++asked;
    co_return says;
  }
  Task<Result<void>> scrape_load(Duration) override {
    ++load_asked;
    co_return Result<void>();
  }
};

}  // namespace autoglm::cluster
