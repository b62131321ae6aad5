#include "gateway/admission/usage/price.h"

#include "gateway/admission/rate/wide.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace autoglm::gateway {

namespace {

bool matches(std::string_view pattern, std::string_view model) {
  return pattern.ends_with('*') ? model.starts_with(pattern.substr(0, pattern.size() - 1)) : pattern == model;
}

}  // namespace

config::Descriptor<PriceConfig> describe_price() {
  using C = PriceConfig;
  return config::Descriptor<C>("price", "What a million tokens of a model cost, for usage and for budgets.")
      .field("model", &C::model,
             {.doc = "Its name; a `*` at the end stands for any rest. The first price that matches holds.",
              .example = "\"qwen*\"",
              .min = 1})
      .field("input", &C::input,
             {.doc = "Of a prompt.", .example = "0.15", .min = 0, .max = PriceConfig::kHighest})
      .field("cached", &C::cached,
             {.doc = "Of the part of a prompt that was found in the prefix cache.",
              .example = "0.03",
              .min = 0,
              .max = PriceConfig::kHighest})
      .field("output", &C::output,
             {.doc = "Of an answer.", .example = "0.60", .min = 0, .max = PriceConfig::kHighest})
      .field("currency", &C::currency,
             {.doc = "The currency's code, the same for all prices.", .min = 1, .max = 16});
}

std::vector<config::Violation> check_prices(std::span<const PriceConfig> prices) {
  std::vector<config::Violation> wrong;
  for (std::size_t i = 1; i < prices.size(); ++i) {
    if (prices[i].currency != prices.front().currency) {
      wrong.push_back({fmt::format("prices[{}].currency", i),
                       fmt::format("is another one than the first price's, {}: costs are added up",
                                   prices.front().currency)});
    }
  }
  return wrong;
}

Result<std::shared_ptr<const PriceTable>> PriceTable::make(std::span<const PriceConfig> prices) {
  if (const auto wrong = check_prices(prices); !wrong.empty())
    return fail(invalid_field(wrong.front().path, wrong.front().path + " " + wrong.front().message));
  auto table = std::make_shared<PriceTable>();
  for (const PriceConfig& config : prices) {
    Price price{.model = config.model};
    for (const auto& [from, to] : {std::pair(config.input, &price.input),
                                   {config.cached, &price.cached},
                                   {config.output, &price.output}}) {
      if (!(from >= 0 && from <= PriceConfig::kHighest)) {
        return fail(invalid_field("prices", fmt::format("the prices of \"{}\" must be between 0 and {}",
                                                        config.model, PriceConfig::kHighest)));
      }
      *to = static_cast<std::uint64_t>(std::llround(from * 1e6));
    }
    table->prices_.push_back(std::move(price));
  }
  if (!prices.empty()) table->currency_ = prices.front().currency;
  return table;
}

std::uint64_t PriceTable::cost(std::string_view model, const Usage& used) const {
  const auto price = std::ranges::find_if(prices_, [&](const Price& of) { return matches(of.model, model); });
  if (price == prices_.end()) return 0;
  // An endpoint's report may be wrong.
  const std::uint32_t cached = std::min(used.cached_tokens, used.prompt_tokens);
  const Wide exact = Wide{used.prompt_tokens - cached} * price->input + Wide{cached} * price->cached +
                     Wide{used.completion_tokens} * price->output;
  return saturated(divide(exact + 500, 1000));
}

std::string decimal(std::uint64_t cost) {
  constexpr std::uint64_t kOne = 1'000'000'000;
  std::string text = fmt::format("{}.{:09}", cost / kOne, cost % kOne);
  text.resize(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

}  // namespace autoglm::gateway
