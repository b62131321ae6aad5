#include "upstream_answers.h"

#include "history.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace autoglm::simulation {

namespace {

std::string usage_of(const Order& order) {
  const std::uint32_t prompt = order.exact ? 1 : 1 + order.said;
  const std::uint32_t completion = order.exact ? order.end : order.end - order.said;
  return fmt::format(R"("usage":{{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{}}})", prompt,
                     completion, prompt + completion);
}

std::string frame_of(const Order& order, std::string_view choice, std::string_view rest) {
  return fmt::format(
      "data: {{\"id\":\"a{}\",\"object\":\"x\",\"created\":7,\"model\":\"m\",\"choices\":[{}]{}}}\n\n",
      order.id, choice, rest);
}

std::string token_frame(const Order& order, std::uint32_t index) {
  const std::string text = token_text(order.id, index);
  std::string choice = order.chat ? fmt::format(R"({{"index":0,"delta":{{"content":"{}"}})", text)
                                  : fmt::format(R"({{"index":0,"text":"{}")", text);
  if (order.tokens) choice += fmt::format(R"(,"token_ids":[{}])", token_number(order.id, index));
  choice += index + 1 == order.end ? R"(,"finish_reason":"length"})" : R"(,"finish_reason":null})";
  return frame_of(order, choice, "");
}

}  // namespace

Order order_of(std::string_view path, std::string_view body, std::string_view request_id) {
  Order order{.chat = path.ends_with("/chat/completions")};
  std::from_chars(request_id.data(), request_id.data() + request_id.size(), order.id);
  order.stream = body.contains("\"stream\":true");
  order.usage = body.contains("\"include_usage\":true");
  order.tokens = body.contains("\"return_token_ids\":true");
  const auto most = static_cast<std::uint32_t>(number_behind(body, "\"max_tokens\":"));
  const std::size_t resume = body.find("\"resume\":{\"token_ids\":[[");
  order.exact = resume != std::string_view::npos;
  if (order.exact) {
    const std::string_view list = body.substr(resume + 24, body.find(']', resume) - resume - 24);
    order.said = list.empty() ? 0 : 1 + static_cast<std::uint32_t>(std::ranges::count(list, ','));
    order.end = most;
  } else {
    const std::string own = fmt::format("c{}.", order.id);
    for (std::size_t at = 0; (at = body.find(own, at)) != std::string_view::npos; at += own.size())
      ++order.said;
    order.end = order.said + most;
  }
  return order;
}

std::string chunk(std::string_view data) { return fmt::format("{:x}\r\n{}\r\n", data.size(), data); }

std::string with_length(int status, std::string_view body, std::string_view headers) {
  return fmt::format("HTTP/1.1 {} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{}\r\n{}",
                     status, body.size(), headers, body);
}

std::string whole_answer(const Order& order) {
  std::string text;
  for (std::uint32_t i = order.said; i < order.end; ++i) text += token_text(order.id, i);
  const std::string choice =
      order.chat
          ? fmt::format(
                R"({{"index":0,"message":{{"role":"assistant","content":"{}"}},"finish_reason":"length"}})",
                text)
          : fmt::format(R"({{"index":0,"text":"{}","finish_reason":"length"}})", text);
  return with_length(
      200, fmt::format(R"({{"id":"a{}","object":"x","created":7,"model":"m","choices":[{}],{}}})", order.id,
                       choice, usage_of(order)));
}

std::vector<std::string> stream_pieces(const Order& order) {
  std::vector<std::string> pieces;
  std::string head =
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
  if (order.chat && !order.exact)
    head += chunk(
        frame_of(order, R"({"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null})", ""));
  pieces.push_back(std::move(head));
  for (std::uint32_t i = order.said; i < order.end; ++i) pieces.push_back(chunk(token_frame(order, i)));
  std::string end;
  if (order.usage) end += chunk(frame_of(order, "", "," + usage_of(order)));
  pieces.push_back(end + chunk("data: [DONE]\n\n") + "0\r\n\r\n");
  return pieces;
}

}  // namespace autoglm::simulation
