#include "engine/models/hub.h"

#include <gtest/gtest.h>

namespace autoglm::engine {
namespace {

const std::string kDigest(64, 'a');

ModelName name(std::string_view text) { return ModelName::parse(text, false).value(); }

std::string text(const http::Url& url) {
  return (url.tls ? "https://" : "http://") + url.authority() + url.target;
}

TEST(HubSettings, ComeFromTheEnvironment) {
  const auto plain = HubSettings::from({}).value();
  EXPECT_EQ(plain.hugging_face.origin(), "https://huggingface.co:443");
  EXPECT_EQ(plain.model_scope.origin(), "https://modelscope.cn:443");
  const auto own = HubSettings::from({{"HF_ENDPOINT", "mirror.example"}, {"HF_TOKEN", "hf_x\n"}}).value();
  EXPECT_EQ(own.hugging_face.origin(), "https://mirror.example:443");
  EXPECT_EQ(own.hf_token, "hf_x");
  const auto wrong = HubSettings::from({{"HF_ENDPOINT", "ftp://x"}});
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().message.find("HF_ENDPOINT"), std::string::npos);
  EXPECT_FALSE(HubSettings::from({{"HF_TOKEN", "a\r\nHost: b"}}));
  EXPECT_FALSE(HubSettings::from({{"HTTPS_PROXY", "socks5://x:1"}}));
}

TEST(Hub, KnowsWhereThingsAre) {
  const auto settings = HubSettings::from({{"HF_ENDPOINT", "https://mirror/hub/"}}).value();
  EXPECT_EQ(text(hub::listing_url(settings, name("hf:a/b"))),
            "https://mirror/hub/api/models/a/b/tree/main?recursive=true");
  EXPECT_EQ(text(hub::file_url(settings, name("hf:a/b"), "q/x y.gguf")),
            "https://mirror/hub/a/b/resolve/main/q/x%20y.gguf");
  EXPECT_EQ(text(hub::listing_url(settings, name("modelscope:a/b"))),
            "https://modelscope.cn/api/v1/models/a/b/repo/files?Revision=master&Recursive=true");
  EXPECT_EQ(text(hub::file_url(settings, name("modelscope:a/b"), "q/x.gguf")),
            "https://modelscope.cn/api/v1/models/a/b/repo?Revision=master&FilePath=q%2Fx.gguf");
  EXPECT_EQ(
      text(hub::file_url(settings, name("https://h/d/x-00001-of-00002.gguf?k=v/w"), "x-00002-of-00002.gguf")),
      "https://h/d/x-00002-of-00002.gguf?k=v/w");
  EXPECT_EQ(text(hub::file_url(settings, name("https://h/download?id=1"), "download.gguf")),
            "https://h/download?id=1");
}

TEST(Hub, ReadsListings) {
  const auto hf = hub::read_listing(
      name("hf:a/b"),
      R"([{"type":"directory","path":"q"},{"type":"file","path":"README.md","size":3,"oid":"x"},
        {"type":"file","path":"../evil.gguf","size":3},
        {"type":"file","path":"q/x.gguf","size":130,"oid":"0123","lfs":{"oid":")" +
          kDigest + R"(","size":5000000000,"pointerSize":130}}])");
  ASSERT_TRUE(hf);
  ASSERT_EQ(hf->size(), 2U);
  EXPECT_EQ((*hf)[0], (ListedFile{"README.md", 3, ""}));
  EXPECT_EQ((*hf)[1], (ListedFile{"q/x.gguf", 5'000'000'000, kDigest}));
  const auto scope = hub::read_listing(
      name("modelscope:a/b"),
      R"({"Code":200,"Data":{"Files":[{"Type":"tree","Path":"q"},{"Type":"blob","Path":"x.gguf","Size":7,"Sha256":")" +
          kDigest + R"("}]}})");
  ASSERT_TRUE(scope);
  EXPECT_EQ(*scope, (std::vector<ListedFile>{{"x.gguf", 7, kDigest}}));
}

TEST(Hub, TakesNothingElseForAListing) {
  for (const char* body :
       {"", "<html>", "{}", "[1]", R"({"error":"x"})", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["})
    EXPECT_FALSE(hub::read_listing(name("hf:a/b"), body)) << body;
  EXPECT_FALSE(hub::read_listing(name("modelscope:a/b"), R"({"Code":404,"Data":null})"));
  // Anything but a sha256 is not a digest.
  EXPECT_EQ(hub::read_listing(name("hf:a/b"), R"([{"type":"file","path":"x.gguf","lfs":{"oid":"abc"}}])")
                ->front()
                .sha256,
            "");
}

TEST(Hub, FollowsPages) {
  EXPECT_EQ(hub::next_page(R"(<https://h/api?cursor=x>; rel="next")"), "https://h/api?cursor=x");
  EXPECT_EQ(hub::next_page(R"(<https://h/1>; rel="prev", <https://h/3>; rel="next")"), "https://h/3");
  EXPECT_EQ(hub::next_page(R"(<https://h/1>; rel="prev")"), "");
  EXPECT_EQ(hub::next_page(""), "");
}

TEST(Hub, SaysWhatToDoAboutARefusal) {
  const auto url = http::Url::parse("https://h/x.gguf?sig=secret").value();
  const auto message = [&](std::string_view model, int status, bool token) {
    return hub::refusal(name(model), url, status, token).message;
  };
  EXPECT_NE(message("hf:a/b", 401, false).find("set HF_TOKEN"), std::string::npos);
  EXPECT_NE(message("hf:a/b", 403, true).find("the token in HF_TOKEN may not read it"), std::string::npos);
  EXPECT_NE(message("hf:a/b", 404, false).find("no such repository"), std::string::npos);
  EXPECT_EQ(message("https://h/x.gguf?sig=secret", 404, false).find("secret"), std::string::npos);
  EXPECT_EQ(hub::refusal(name("hf:a/b"), url, 404, false).code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace autoglm::engine
