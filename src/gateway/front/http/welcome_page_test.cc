#include "gateway/front/http/welcome_page.h"

#include "gateway/front/http/example_call.h"

#include <gtest/gtest.h>

namespace autoglm::gateway {
namespace {

using State = EndpointStatus::State;

WelcomeFacts facts() {
  return {.version = "1.2.3",
          .base_url = "http://10.0.0.5:8080",
          .models = {{.card = {.name = "smollm2", .context_length = 8192, .has_chat_template = true},
                      .status = {.state = State::kReady, .progress = 1}}}};
}

bool says(const WelcomeFacts& about, std::string_view words) {
  return welcome_page(about).find(words) != std::string::npos;
}

TEST(WelcomePage, SaysWhatIsServedAndHowToCallIt) {
  const WelcomeFacts one = facts();
  EXPECT_TRUE(says(one, "1.2.3"));
  EXPECT_TRUE(says(one, R"(<span class="name">smollm2</span>)"));
  EXPECT_TRUE(says(one, "8192 tokens of context"));
  EXPECT_TRUE(says(one, R"(<span class="state ready">ready</span>)"));
  EXPECT_TRUE(says(one, "curl http://10.0.0.5:8080/v1/chat/completions"));
  EXPECT_TRUE(says(one, "base_url=&quot;http://10.0.0.5:8080/v1&quot;"));
  EXPECT_TRUE(says(one, "open-autoglm chat --url http://10.0.0.5:8080"));
  EXPECT_EQ(welcome_page(one).find("{{"), std::string::npos);
}

TEST(WelcomePage, NeedsNothingElse) {
  const std::string page = welcome_page(facts());
  for (const std::string_view outside : {"<script", "src=", "@import", "url(", "http-equiv"})
    EXPECT_EQ(page.find(outside), std::string::npos) << outside;
}

TEST(WelcomePage, EscapesEveryName) {
  WelcomeFacts hostile = facts();
  const std::string_view attack = "</pre><script>alert('\"&')</script>";
  hostile.models[0].card.name = attack;
  hostile.models[0].status = {.state = State::kFailed, .detail = std::string(attack)};
  hostile.base_url = std::string("http://").append(attack);
  hostile.version = attack;
  const std::string page = welcome_page(hostile);
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_EQ(page.find("alert('"), std::string::npos);
  EXPECT_NE(page.find("&lt;script&gt;alert(&#39;&quot;&amp;&#39;)"), std::string::npos);
}

TEST(WelcomePage, ShowsWhatLoadsAndLooksAgain) {
  WelcomeFacts one = facts();
  one.models[0].status = {.state = State::kLoading, .progress = 0.43};
  EXPECT_TRUE(says(one, R"(<span class="state loading">loading, 43 %</span>)"));
  EXPECT_TRUE(says(one, R"(<meta http-equiv="refresh" content="2">)"));
}

TEST(WelcomePage, SaysWhyAModelFailed) {
  WelcomeFacts one = facts();
  one.models[0].status = {.state = State::kFailed, .detail = "/x.gguf is cut off"};
  EXPECT_TRUE(says(one, R"(<span class="state failed">failed</span>)"));
  EXPECT_TRUE(says(one, "/x.gguf is cut off"));
}

TEST(WelcomePage, ItsExamplesAreOfAModelThatAnswers) {
  WelcomeFacts two = facts();
  two.models.insert(two.models.begin(), {.card = {.name = "broken"}, .status = {.state = State::kFailed}});
  EXPECT_TRUE(says(two, "&quot;model&quot;: &quot;smollm2&quot;"));
  EXPECT_FALSE(says(two, "&quot;broken&quot;"));
}

TEST(WelcomePage, SaysWhatToDoWithoutAModel) {
  WelcomeFacts none = facts();
  none.models.clear();
  EXPECT_TRUE(says(none, "open-autoglm serve --model NAME"));
  EXPECT_TRUE(says(none, "curl http://10.0.0.5:8080/v1/chat/completions"));
  EXPECT_FALSE(says(none, "&quot;model&quot;"));
}

TEST(WelcomePage, ShowsCompletionsOfAModelWithoutAChatTemplate) {
  WelcomeFacts one = facts();
  one.models[0].card.has_chat_template = false;
  EXPECT_TRUE(says(one, "curl http://10.0.0.5:8080/v1/completions"));
  EXPECT_TRUE(says(one, "client.completions.create("));
  EXPECT_FALSE(says(one, "messages"));
  one.models[0].status.state = State::kLoading;  // while it loads, its abilities are unknown
  EXPECT_TRUE(says(one, "curl http://10.0.0.5:8080/v1/chat/completions"));
}

TEST(WelcomePage, SaysThatItIsLeaving) {
  WelcomeFacts one = facts();
  EXPECT_FALSE(says(one, "shutting down"));
  one.draining = true;
  EXPECT_TRUE(says(one, "shutting down"));
}

TEST(WelcomePage, LinksToMetricsWhereThereAreSome) {
  WelcomeFacts one = facts();
  EXPECT_TRUE(says(one, R"(href="/metrics")"));
  one.has_metrics = false;
  EXPECT_FALSE(says(one, R"(href="/metrics")"));
}

TEST(WantsPage, AsBrowsersAskAndProgramsDoNot) {
  EXPECT_TRUE(wants_page("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
  EXPECT_TRUE(wants_page("application/json;q=0.5, Text/HTML ; q=0.9"));
  EXPECT_FALSE(wants_page("*/*"));  // curl
  EXPECT_FALSE(wants_page("application/json"));
  EXPECT_FALSE(wants_page("application/text/html"));
  EXPECT_FALSE(wants_page(""));
}

TEST(ExampleCall, IsOneThatAShellRuns) {
  const ModelCard card{.name = "it's a \"model\"", .has_chat_template = true};
  EXPECT_EQ(example_call("http://h", card, true),
            "curl http://h/v1/chat/completions -H \"Content-Type: application/json\" \\\n"
            "     -d '{\"model\": \"it'\\''s a \\\"model\\\"\",\n"
            R"(         "messages": [{"role": "user", "content": "What is the capital of France?"}]}')");
  EXPECT_EQ(example_call("http://h", {}, false),
            "curl http://h/v1/completions -H \"Content-Type: application/json\" \\\n"
            R"(     -d '{"prompt": "What is the capital of France?", "max_tokens": 50}')");
}

}  // namespace
}  // namespace autoglm::gateway
