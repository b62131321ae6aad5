#include "base/redact.h"

#include <gtest/gtest.h>

namespace autoglm {
namespace {

TEST(WithoutSecrets, HidesUserInfoAndQuery) {
  EXPECT_EQ(without_secrets("https://me:pass@host:1/a/b?token=x&y=z#end"),
            "https://<hidden>@host:1/a/b?<hidden>");
  EXPECT_EQ(without_secrets("https://key@host"), "https://<hidden>@host");
  EXPECT_EQ(without_secrets("https://a@b@host/p@q"), "https://<hidden>@host/p@q");
  EXPECT_EQ(without_secrets("http://host?sig=x"), "http://host?<hidden>");
}

TEST(WithoutSecrets, LeavesWhatHasNone) {
  for (const char* text : {"http://10.0.0.1:8000/v1", "https://host/@scope/file", "models/m.gguf",
                           "hf:a/b:Q4", "ask me@home? see http://x?y", "", "://x?y"})
    EXPECT_EQ(without_secrets(text), text);
}

}  // namespace
}  // namespace autoglm
