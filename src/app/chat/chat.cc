#include "app/chat/chat.h"

#include "app/chat/advice.h"
#include "app/chat/answer_screen.h"
#include "app/chat/chat_session.h"
#include "app/chat/conversation.h"
#include "app/chat/terminal_chat.h"
#include "base/utf8.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <utility>

namespace autoglm::app {

namespace {

/// A line in, an answer out, until one fails.
int filter(ChatSession& session, const ChatOptions& options) {
  AnswerScreen screen(is_terminal(STDOUT_FILENO), Paint(false));
  Conversation conversation;
  conversation.set_system(options.system);
  for (std::string line; std::getline(std::cin, line);) {
    if (line.empty()) continue;
    std::string question;
    append_valid_utf8(question, line);
    conversation.ask(std::move(question));
    Answer answer;
    const auto said = session.run(session.client().ask(
        {.messages = conversation.messages(), .model = options.model, .max_tokens = options.max_tokens},
        answer, [&](const AnswerEvent& event) { print_now(screen.next(event)); }));
    print_now(screen.end());
    if (!said) {
      const std::string what_to_do = advice(said.error(), options.url);
      fmt::print(stderr, "open-autoglm: {}{}{}\n", said.error().message, what_to_do.empty() ? "" : ". ",
                 what_to_do);
      return 1;
    }
    conversation.answer(std::move(answer.text));
  }
  return 0;
}

/// The base address of OpenAI's paths; `/v1` may be left out.
Result<http::Url> api_of(const std::string& text) {
  auto url = http::Url::parse(text);
  if (!url) return url;
  while (url->target.ends_with('/')) url->target.pop_back();
  if (!url->target.ends_with("/v1")) url->target += "/v1";
  return url;
}

}  // namespace

int chat(const ChatOptions& options, const std::map<std::string, std::string>& environment) {
  auto url = api_of(options.url);
  if (!url) {
    fmt::print(stderr, "open-autoglm: --url: {}\n", url.error().message);
    return 2;
  }
  std::shared_ptr<const TlsClientContext> tls;
  if (url->tls) {
    auto made = TlsClientContext::create();
    if (!made) {
      fmt::print(stderr, "open-autoglm: {}\n", made.error().message);
      return 1;
    }
    tls = std::move(*made);
  }
  ChatSession session(std::move(*url), options.api_key, std::move(tls));
  if (is_terminal(STDIN_FILENO) && is_terminal(STDOUT_FILENO))
    return TerminalChat(session, options, environment).run();
  return filter(session, options);
}

}  // namespace autoglm::app
