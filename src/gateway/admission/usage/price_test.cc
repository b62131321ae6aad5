#include "gateway/admission/usage/price.h"

#include "config/load.h"

#include <gtest/gtest.h>

namespace autoglm::gateway {
namespace {

std::shared_ptr<const PriceTable> table(const std::vector<PriceConfig>& prices) {
  return PriceTable::make(prices).value();
}

TEST(Price, TheFirstThatMatchesHolds) {
  const auto prices =
      table({{.model = "qwen-72b", .input = 3}, {.model = "qwen*", .input = 2}, {.input = 1}});
  const Usage used{.prompt_tokens = 1'000'000};
  EXPECT_EQ(decimal(prices->cost("qwen-72b", used)), "3");
  EXPECT_EQ(decimal(prices->cost("qwen-7b", used)), "2");
  EXPECT_EQ(decimal(prices->cost("smollm2", used)), "1");
  EXPECT_EQ(table({{.model = "qwen"}})->cost("qwen-7b", used), 0U);
  EXPECT_EQ(PriceTable().cost("any", used), 0U);
}

TEST(Price, CachedTokensArePartOfThePrompt) {
  const auto prices = table({{.input = 0.15, .cached = 0.03, .output = 0.60}});
  EXPECT_EQ(prices->cost("m", {.prompt_tokens = 100, .cached_tokens = 20, .completion_tokens = 30}),
            80U * 150 + 20U * 30 + 30U * 600);
  EXPECT_EQ(prices->cost("m", {.prompt_tokens = 10, .cached_tokens = 4'000'000'000U}), 10U * 30)
      << "an endpoint's wrong report";
}

TEST(Price, CostsAreExactAndDoNotOverflow) {
  const auto cheap = table({{.input = 0.0375}});
  EXPECT_EQ(cheap->cost("m", {.prompt_tokens = 2}), 75U);
  EXPECT_EQ(cheap->cost("m", {.prompt_tokens = 1}), 38U) << "37.5, rounded once";
  const std::uint32_t most = 4'294'967'295U;
  const auto dear = table({{.input = 100'000, .cached = 0, .output = 100'000}});
  EXPECT_EQ(decimal(dear->cost("m", {.prompt_tokens = most, .completion_tokens = most})), "858993459");
}

TEST(Price, DecimalsHaveNoTrailingZeros) {
  EXPECT_EQ(decimal(0), "0");
  EXPECT_EQ(decimal(150'000), "0.00015");
  EXPECT_EQ(decimal(1), "0.000000001");
  EXPECT_EQ(decimal(25'500'000'000), "25.5");
}

TEST(Price, CostsOfTwoCurrenciesAreNotAddedUp) {
  const auto made = PriceTable::make(std::vector<PriceConfig>{{.model = "a"}, {.currency = "EUR"}});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().param, "prices[1].currency");
  EXPECT_FALSE(PriceTable::make(std::vector<PriceConfig>{{.input = -1}}));
  EXPECT_EQ(table({{.currency = "EUR"}})->currency(), "EUR");
}

TEST(Price, IsReadFromAConfiguration) {
  const auto read =
      config::load(describe_price(),
                   {.file_name = "f.yaml", .file_text = "{ model: \"qwen*\", input: 0.15, output: 0.6 }"});
  ASSERT_TRUE(read);
  EXPECT_EQ(*read, (PriceConfig{.model = "qwen*", .input = 0.15, .output = 0.6}));
  EXPECT_FALSE(config::load(describe_price(), {.file_name = "f.yaml", .file_text = "input: -1"}));
}

}  // namespace
}  // namespace autoglm::gateway
