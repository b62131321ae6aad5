#include "config/load.h"
#include "config/render.h"
#include "config/testing/sample.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace autoglm::config {
namespace {

using testing::describe_sample;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::Sample;

constexpr const char* kText =
    "server: { idle: 90s }\nmodels: [{ name: 'yes: #1', api_key: abcdefgh, fallback: [b] }]\nlimits: { 'a "
    "b': 3 }\n";

TEST(Print, SaysWhereValuesComeFromAndHidesSecrets) {
  const TextSources sources{
      .file_name = "f.yaml", .file_text = kText, .environment = {{"OPEN_AUTOGLM_SERVER_WORKERS", "2"}}};
  const auto descriptor = describe_sample();
  const Sample sample = load(descriptor, sources).value();
  Node tree;
  Diagnostics problems;
  ASSERT_TRUE(merge(*descriptor.description(), sources.list(), tree, problems));
  EXPECT_EQ(print(descriptor, sample, &tree),
            R"(server:
  listen: 0.0.0.0:8080
  admin: 127.0.0.1:8081
  workers: 2  # environment variable OPEN_AUTOGLM_SERVER_WORKERS
  max_body: 16MiB
  buffer: 4KiB
  metrics: true
  idle: 90s  # f.yaml:1:17
models:
  - name: "yes: #1"  # f.yaml:2:18
    balance: least_load
    api_key: "<hidden>"  # f.yaml:2:38
    weight: 1.5
    breaker:
      window: 10s
      sleep_window: 5s
      error_percent: 50
    fallback:
      - "b"  # f.yaml:2:59
limits:
  a b: 3  # f.yaml:3:18
)");
}

TEST(Print, ReadsBackToTheSame) {
  const auto descriptor = describe_sample();
  const Sample sample = load(descriptor, {.file_name = "f.yaml", .file_text = kText}).value();
  const std::string text = print(descriptor, sample);
  const auto again = load(descriptor, {.file_name = "g.yaml", .file_text = text});
  ASSERT_TRUE(again) << to_string(again.error());
  EXPECT_EQ(print(descriptor, *again), text);
}

TEST(Print, HidesWhatAddressesCarryAndNothingThatIsNoAddress) {
  struct Place {
    std::string url = "https://me:pass@host/v1?token=abc";
    std::string text = "https://me:pass@host/v1?token=abc";
  };
  const auto descriptor = Descriptor<Place>("place", "Where it is.")
                              .field("url", &Place::url, {.doc = "Its address.", .max = 40, .address = true})
                              .field("text", &Place::text, {.doc = "About it."});
  const std::string shown = print(descriptor, Place());
  EXPECT_THAT(shown, HasSubstr("url: \"https://<hidden>@host/v1?<hidden>\""));
  EXPECT_THAT(shown, HasSubstr("text: \"https://me:pass@host/v1?token=abc\""));
  EXPECT_THAT(print(descriptor, Place(), nullptr, Secrets::kTold),
              HasSubstr("url: \"https://me:pass@host/v1?token=abc\""));
  const auto wrong = load(
      descriptor, {.file_name = "f.yaml", .file_text = "url: https://me:pass@host/" + std::string(40, 'a')});
  ASSERT_FALSE(wrong);
  EXPECT_THAT(to_string(wrong.error()), HasSubstr("https://<hidden>@host/"));
}

}  // namespace
}  // namespace autoglm::config
