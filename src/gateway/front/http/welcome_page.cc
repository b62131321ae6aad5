#include "gateway/front/http/welcome_page.h"

#include "base/assert.h"
#include "base/json_string.h"
#include "base/utf8.h"
#include "gateway/front/http/example_call.h"
#include "gateway/front/http/welcome_template.h"
#include "http/message.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>

namespace autoglm::gateway {

namespace {

std::string escape(std::string_view text) {
  std::string valid;
  append_printable(valid, text, "\n");
  std::string out;
  out.reserve(valid.size());
  for (const char c : valid) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

/// `{{name}}` replaced by `value(name)`, which is HTML.
std::string render(std::string_view text, const std::function<std::string(std::string_view)>& value) {
  std::string out;
  while (true) {
    const std::size_t begin = text.find("{{");
    out += text.substr(0, begin);
    if (begin == std::string_view::npos) return out;
    const std::size_t end = text.find("}}", begin);
    AUTOGLM_ASSERT(end != std::string_view::npos, "welcome.html has a {{ without its }}");
    out += value(text.substr(begin + 2, end - begin - 2));
    text.remove_prefix(end + 2);
  }
}

/// The state as a word, which is also a CSS class of the page, and as text for people.
std::pair<std::string_view, std::string> shown_state(const EndpointStatus& status) {
  switch (status.state) {
    case EndpointStatus::State::kLoading:
      return {"loading", fmt::format("loading, {:.0f} %", 100 * status.progress)};
    case EndpointStatus::State::kReady:
      return {"ready", "ready"};
    case EndpointStatus::State::kDraining:
      return {"loading", "draining"};
    case EndpointStatus::State::kFailed:
      break;
  }
  return {"failed", "failed"};
}

std::string shown_models(const WelcomeFacts& facts) {
  if (facts.models.empty()) {
    return "<p class=\"none\">None. Start it with a model: <code>open-autoglm serve --model NAME</code>, or "
           "<code>MODEL_NAME</code>.</p>";
  }
  std::string list = "<ul class=\"models\">";
  for (const auto& [card, status] : facts.models) {
    const auto& [state, words] = shown_state(status);
    const std::string room =
        card.context_length > 0
            ? fmt::format(R"(<span class="room">{} tokens of context</span>)", card.context_length)
            : std::string();
    list += fmt::format(R"(<li><span class="name">{}</span>{}<span class="state {}">{}</span>)",
                        escape(card.name), room, state, words);
    if (status.state == EndpointStatus::State::kFailed && !status.detail.empty())
      list += fmt::format(R"(<p class="why">{}</p>)", escape(status.detail));
    list += "</li>\n";
  }
  return list + "</ul>";
}

std::string python_example(const WelcomeFacts& facts, const ModelCard& model, bool chat) {
  const std::string name = json_string(model.name);
  const std::string question = json_string(kExampleQuestion);
  const std::string call =
      chat ? fmt::format(
                 "client.chat.completions.create(\n    model={},\n    messages=[{{\"role\": \"user\", "
                 "\"content\": {}}}])\nprint(answer.choices[0].message.content)",
                 name, question)
           : fmt::format(
                 "client.completions.create(\n    model={}, prompt={}, max_tokens=50)\n"
                 "print(answer.choices[0].text)",
                 name, question);
  return fmt::format(
      "from openai import OpenAI\n\nclient = OpenAI(base_url={}, api_key=\"unused\")\nanswer = {}",
      json_string(facts.base_url + "/v1"), call);
}

}  // namespace

bool wants_page(std::string_view accept) {
  while (!accept.empty()) {
    const std::size_t comma = accept.find(',');
    std::string_view one = accept.substr(0, comma);
    accept.remove_prefix(comma == std::string_view::npos ? accept.size() : comma + 1);
    while (one.starts_with(' ') || one.starts_with('\t')) one.remove_prefix(1);
    std::string_view type = one.substr(0, one.find(';'));
    while (type.ends_with(' ') || type.ends_with('\t')) type.remove_suffix(1);
    if (http::equals_ignoring_case(type, "text/html")) return true;
  }
  return false;
}

std::string welcome_page(const WelcomeFacts& facts) {
  // The examples call a model that is ready, or will be.
  WelcomeFacts::Model shown{.card = {}, .status = {.state = EndpointStatus::State::kLoading}};
  const auto first = std::ranges::find_if(facts.models, [](const WelcomeFacts::Model& model) {
    return model.status.state != EndpointStatus::State::kFailed;
  });
  if (first != facts.models.end()) shown = *first;
  const ModelCard& model = shown.card;
  const bool chat = can_chat(shown.status, model);
  const auto loading = [&] {
    for (const auto& each : facts.models)
      if (each.status.state == EndpointStatus::State::kLoading) return true;
    return false;
  };
  return render(kWelcomeTemplate, [&](std::string_view name) -> std::string {
    if (name == "version") return escape(facts.version);
    if (name == "base_url") return escape(facts.base_url);
    if (name == "models") return shown_models(facts);
    if (name == "curl") return escape(example_call(facts.base_url, model, chat));
    if (name == "python") return escape(python_example(facts, model, chat));
    if (name == "chat") return escape("open-autoglm chat --url " + facts.base_url);
    if (name == "draining") {
      return facts.draining ? R"(<p class="notice">This server is shutting down. It finishes what is under )"
                              "way and takes nothing new.</p>"
                            : "";
    }
    if (name == "refresh") return loading() ? R"(<meta http-equiv="refresh" content="2">)" : "";
    if (name == "metrics") return facts.has_metrics ? R"(<a href="/metrics">metrics</a>)" : "";
    AUTOGLM_ASSERT(false, "welcome.html has a name that nothing is known of");
  });
}

}  // namespace autoglm::gateway
