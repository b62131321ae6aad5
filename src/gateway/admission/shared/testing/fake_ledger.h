#pragma once

#include "gateway/admission/shared/shared_ledger.h"

#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace autoglm::gateway {

/// A common count whose answers a test writes; it notes what is asked and settled.
class FakeLedger final : public SharedLedger {
 public:
  using Used = std::vector<std::uint64_t>;

  explicit FakeLedger(std::uint32_t replicas = 1) : replicas_(replicas) {}

  /// The next takes' answers. Nothing: none comes in time.
  std::optional<std::vector<RateDecision>> answer;
  std::vector<std::vector<SharedAsk>> asked;
  std::vector<Used> settled;

  std::shared_ptr<SharedTake> take(std::vector<SharedAsk> asks) override {
    asked.push_back(std::move(asks));
    return std::make_shared<Take>(*this);
  }
  std::uint32_t replicas() const override { return replicas_; }

 private:
  struct Take final : SharedTake {
    explicit Take(FakeLedger& its_ledger) : ledger(its_ledger), decided(its_ledger.answer) {}
    Task<bool> answered() override { co_return decided.has_value(); }
    const std::vector<RateDecision>& decisions() const override { return *decided; }
    void settle(std::span<const std::uint64_t> used) override {
      ledger.settled.emplace_back(used.begin(), used.end());
    }
    FakeLedger& ledger;
    std::optional<std::vector<RateDecision>> decided;
  };

  const std::uint32_t replicas_;
};

}  // namespace autoglm::gateway
