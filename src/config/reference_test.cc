#include "config/render.h"
#include "config/testing/sample.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace autoglm::config {
namespace {

using ::testing::HasSubstr;

TEST(MarkdownReference, HasARowForEveryKey) {
  const std::string text = markdown_reference(*testing::describe_sample().description());
  EXPECT_THAT(
      text,
      HasSubstr("\n## `server`\n\nWhat clients talk to.\n\n| Key | Type | Default | Environment | |\n"));
  EXPECT_THAT(
      text,
      HasSubstr("\n| `listen` | host:port | `0.0.0.0:8080` | `OPEN_AUTOGLM_SERVER_LISTEN` | Address. |\n"));
  EXPECT_THAT(
      text,
      HasSubstr("\n| `idle` | a duration |  | `OPEN_AUTOGLM_SERVER_IDLE` | Idle time. Example: `30s`. |\n"));
  EXPECT_THAT(
      text,
      HasSubstr("\n| `max_body` | a size at least 1KiB | `16MiB` | `OPEN_AUTOGLM_SERVER_MAX_BODY` | Largest "
                "body. *Live.* |\n"));
  EXPECT_THAT(text, HasSubstr("\n## `models`\n\nOne model. A list.\n"));
  EXPECT_THAT(
      text,
      HasSubstr("\n| `name` | a text | required |  | What clients call it. Example: `chatglm3-6b`. |\n"));
  EXPECT_THAT(
      text,
      HasSubstr(
          "\n| `breaker.error_percent` | an integer between 1 and 100 | `50` |  | Share of failures. |\n"));
  EXPECT_THAT(text, HasSubstr("Which endpoint \\| first."));
  EXPECT_THAT(text, HasSubstr("\n## Top level\n"));
  EXPECT_THAT(text, HasSubstr("\n| `limits` | a mapping of names to an integer"));
}

}  // namespace
}  // namespace autoglm::config
