#include "gateway/protocol/openai/models.h"

#include <gtest/gtest.h>

#include <vector>

namespace autoglm::protocol::openai {
namespace {

TEST(Models, AreListedAsOpenAiAndVllmDoAndWithTheirSamplingDefaults) {
  const std::vector<ModelCard> cards = {
      {.name = "a \"model\"",
       .context_length = 8192,
       .created = 77,
       .sampling = {{"temperature", 0.2, "catalogue"}, {"top_k", 40, "gguf"}, {"min_p", 0, "plain"}},
       .system_message = "Answer \"briefly\"."},
      {.name = "elsewhere", .created = 78}};
  const std::string_view first =
      R"({"id":"a \"model\"","object":"model","created":77,"owned_by":"open-autoglm","max_model_len":8192,)"
      R"("sampling_defaults":{"temperature":{"value":0.2,"source":"catalogue"},)"
      R"("top_k":{"value":40,"source":"gguf"},"min_p":{"value":0,"source":"plain"}},)"
      R"("default_system_message":"Answer \"briefly\"."})";
  EXPECT_EQ(models_body(cards),
            std::string(R"({"object":"list","data":[)").append(first) +
                R"(,{"id":"elsewhere","object":"model","created":78,"owned_by":"open-autoglm"}]})");
  EXPECT_EQ(model_body(cards.front()), first);
  EXPECT_EQ(models_body({}), R"({"object":"list","data":[]})");
}

}  // namespace
}  // namespace autoglm::protocol::openai
