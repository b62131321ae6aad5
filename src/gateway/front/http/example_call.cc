#include "gateway/front/http/example_call.h"

#include "base/json_string.h"

#include <fmt/format.h>

namespace autoglm::gateway {

std::string shell_word(std::string_view text) {
  std::string word = "'";
  for (const char c : text) {
    if (c == '\'') {
      word += R"('\'')";
    } else {
      word += c;
    }
  }
  return word + "'";
}

std::string example_call(std::string_view base_url, const ModelCard& model, bool can_chat) {
  constexpr std::string_view kMargin = "     ";
  std::string body = "{";
  // On its own line: a long name would push the question out of sight.
  if (!model.name.empty()) body += fmt::format("\"model\": {},\n{}    ", json_string(model.name), kMargin);
  const std::string question = json_string(kExampleQuestion);
  const auto call = [&](std::string_view path) {
    return fmt::format("curl {}/v1/{} -H \"Content-Type: application/json\" \\\n{}-d {}", base_url, path,
                       kMargin, shell_word(body));
  };
  if (model.task == ModelTask::kEmbed) {
    body += fmt::format(R"("input": {}}})", question);
    return call("embeddings");
  }
  if (model.task == ModelTask::kRank) {
    body += fmt::format(R"("query": {}, "documents": ["Paris.", "A car."]}})", question);
    return call("rerank");
  }
  body += can_chat ? fmt::format(R"("messages": [{{"role": "user", "content": {}}}]}})", question)
                   : fmt::format(R"("prompt": {}, "max_tokens": 50}})", question);
  return call(can_chat ? "chat/completions" : "completions");
}

}  // namespace autoglm::gateway
