#pragma once

#include "http/server.h"
#include "inference/testing/stream_conformance.h"
#include "runtime/signal.h"
#include "runtime/testing/run_task.h"

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace autoglm::gateway {

/// A remote server of a model, with Open-AutoGLM's extensions: it says four words, a token each, continues
/// where another server broke off, and behaves as it is told to. On the loop of its callers.
class ModelServer final : public http::Handler {
 public:
  static constexpr std::array<std::string_view, 4> kWords = {" one", " two", " three", " four"};

  /// `padding`: further bytes of a whole answer.
  explicit ModelServer(EventLoop& loop, std::size_t padding = 0) : padding_(padding) {
    run_task(loop, [](ModelServer& self) -> Task<void> {
      auto listener = TcpListener::create(EventLoop::current(), {"127.0.0.1", 0}).value();
      self.server_.emplace(std::move(listener), http::ServerLimits(), self);
      self.server_->start();
      co_return;
    }(*this));
  }

  Manner manner = Manner::kWell;
  bool mute = false;  ///< it does not even begin
  bool curt = false;  ///< it breaks off after each word of a stream
  std::string url() const { return "http://127.0.0.1:" + std::to_string(server_->port()) + "/v1"; }
  bool idle() const { return server_->counts().busy_connections == 0; }

  Task<void> handle(http::Request& request, http::ResponseWriter& response) override {
    co_await yield_to_loop();
    if (mute) co_await for_ever();
    if (manner == Manner::kRefuses) {
      co_await response.send(503, "application/json", R"({"error":{"message":"full","type":"overloaded"}})");
    } else if (request.body.find(R"("stream":true)") == std::string::npos) {
      co_await whole(response);
    } else if (request.path == "/generate") {
      co_await texts(response);
    } else {
      co_await frames(said_before(request.body), response);
    }
  }
  std::pair<std::string, std::string_view> refused(const http::Refusal&, const std::string&) override {
    return {};
  }

 private:
  static Task<void> for_ever() {
    Signal never;
    co_await never.wait();
  }
  static std::string frame(std::size_t word) {
    return R"(data: {"id":"c","choices":[{"index":0,"text":")" + std::string(kWords.at(word)) +
           R"(","token_ids":[)" + std::to_string(word + 1) + "]}]}\n\n";
  }
  /// How many words of the answer another server has said, by `body`.
  static std::size_t said_before(std::string_view body) {
    std::string tokens = R"("resume":{"token_ids":[[)";
    std::string text;
    std::size_t said = 0;
    for (std::size_t word = 0; word < kWords.size(); ++word) {
      tokens += (word == 0 ? "" : ",") + std::to_string(word + 1);
      text += kWords.at(word);
      if (body.find(tokens) != std::string_view::npos || body.find(text) != std::string_view::npos)
        said = word + 1;
    }
    return said;
  }

  Task<void> whole(http::ResponseWriter& response) {
    if (manner == Manner::kStalls) co_await for_ever();
    std::string text(padding_, 'x');
    for (const std::string_view word : kWords) text += word;
    const std::string answer = R"({"choices":[{"index":0,"text":")" + text +
                               R"("}],"usage":{"prompt_tokens":3,"completion_tokens":4}})";
    co_await response.start(200, "application/json");
    for (const bool first : {true, false}) {
      const std::size_t half = answer.size() / 2;
      co_await response.write(
          std::string_view(answer).substr(first ? 0 : half, first ? half : std::string::npos));
      if (manner == Manner::kBreaks) co_return;
      co_await yield_to_loop();
    }
    co_await response.finish();
  }

  Task<void> texts(http::ResponseWriter& response) {
    co_await response.start(200, "application/octet-stream");
    std::string text;
    for (const std::string_view word : kWords) {
      text += word;
      co_await response.write(R"({"text": [")" + text + "\"]}" + std::string(1, '\0'));
      if (manner == Manner::kStalls) co_await for_ever();
      if (manner == Manner::kBreaks) co_return;
      co_await yield_to_loop();
    }
    co_await response.finish();
  }

  Task<void> frames(std::size_t from, http::ResponseWriter& response) {
    co_await response.start(200, "text/event-stream");
    for (std::size_t word = from; word < kWords.size(); ++word) {
      if (manner == Manner::kBreaks && word == 2) co_return;
      co_await response.write(frame(word));
      if (manner == Manner::kStalls) co_await for_ever();
      if (curt) co_return;
      co_await yield_to_loop();
    }
    co_await response.write(
        "data: "
        "{\"id\":\"c\",\"choices\":[{\"index\":0,\"text\":\"\",\"finish_reason\":\"stop\",\"token_ids\":[]}]}"
        "\n\n: usage 3 0 4\n\ndata: [DONE]\n\n");
    co_await response.finish();
  }

  std::size_t padding_;
  std::optional<http::Server> server_;
};

/// A request for its words.
inline InferenceRequestPtr request_for_words(WireBody::Protocol protocol, bool stream) {
  return std::make_shared<const InferenceRequest>(
      InferenceRequest{.id = "id-1",
                       .model = "m",
                       .work = GenerateRequest{.prompts = {TextPrompt{"p"}}, .sampling = {.seed = 4}},
                       .wire = {.protocol = protocol,
                                .stream = stream,
                                .bytes = stream ? R"({"model":"m","prompt":"p","stream":true})"
                                                : R"({"model":"m","prompt":"p"})",
                                .names_model = true},
                       .created = 1});
}

}  // namespace autoglm::gateway
