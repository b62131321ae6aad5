#include "http/answering.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>

namespace autoglm::http {

std::string_view date_now() {
  thread_local std::time_t at = 0;
  thread_local std::string text;
  const std::time_t now = std::time(nullptr);
  if (now != at) {
    at = now;
    text = fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT", fmt::gmtime(now));
  }
  return text;
}

ContentCoding wanted_coding(std::size_t least, const Request* request, std::string_view content_type,
                            std::string_view body, ResponseWriter& response) {
  if (least == 0 || body.size() < least || request == nullptr || content_type.empty())
    return ContentCoding::kIdentity;
  response.add_header("Vary", "Accept-Encoding");
  const auto accepted = request->headers.find("accept-encoding");
  return accepted ? choose_coding(*accepted) : ContentCoding::kIdentity;
}

Task<std::optional<std::string>> packed(ContentCoding coding, std::string_view body,
                                        BodyMemory::Share& memory, ResponseWriter& response) {
  if (!memory.cover(body.size())) co_return std::nullopt;
  auto out = co_await encode(coding, body);
  if (out) response.add_header("Content-Encoding", to_string(coding));
  co_return out;
}

Refusal body_too_large(std::size_t limit) {
  return {413, fmt::format("the body is larger than this server takes ({} bytes)", limit)};
}

Refusal no_body_memory() {
  return {503,
          "other requests' bodies fill the memory there is for them (server.body_memory); try again shortly"};
}

Refusal out_of_memory() {
  return {503, "this server has no memory left for this request; try again shortly"};
}

}  // namespace autoglm::http
