#pragma once

#include "base/result.h"
#include "config/descriptor.h"
#include "inference/events.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::gateway {

/// One of `prices:`: what a million tokens of a model cost.
struct PriceConfig {
  static constexpr double kHighest = 100'000;

  std::string model = "*";  ///< a name; a `*` at the end stands for any rest
  double input = 0;
  double cached = 0;  ///< of a prompt's tokens that were found in the prefix cache
  double output = 0;
  std::string currency = "USD";

  bool operator==(const PriceConfig&) const = default;
};

config::Descriptor<PriceConfig> describe_price();

/// What all prices of a configuration must keep to: they have one currency, since costs are added up.
std::vector<config::Violation> check_prices(std::span<const PriceConfig> prices);

/// All prices. Costs are whole numbers of 10^-9 of the currency, so that sums are exact; a price is kept in
/// 10^-12 a token, and a call's cost is rounded once, halves up. Immutable; thread-safe.
class PriceTable {
 public:
  PriceTable() = default;  ///< everything is free
  /// Errors: kInvalidArgument for a price out of range, and for two currencies.
  static Result<std::shared_ptr<const PriceTable>> make(std::span<const PriceConfig> prices);

  /// By the first price whose model matches; 0: there is none.
  std::uint64_t cost(std::string_view model, const Usage& used) const;
  const std::string& currency() const { return currency_; }

 private:
  struct Price {
    std::string model;
    std::uint64_t input = 0, cached = 0, output = 0;  // in 10^-12 a token
  };
  std::vector<Price> prices_;
  std::string currency_ = "USD";
};

/// An amount in 10^-9 as a decimal number without trailing zeros: "0.00015".
std::string decimal(std::uint64_t cost);

}  // namespace autoglm::gateway
