#include "http/answering.h"

#include "http/content_coding.h"

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

std::optional<std::string> packed(std::size_t least, const Request* request, std::string_view content_type,
                                  std::string_view body, ResponseWriter& response) {
  if (least == 0 || body.size() < least || request == nullptr || content_type.empty()) return std::nullopt;
  response.add_header("Vary", "Accept-Encoding");
  const auto accepted = request->headers.find("accept-encoding");
  const ContentCoding coding = accepted ? choose_coding(*accepted) : ContentCoding::kIdentity;
  auto out = encode(coding, body);
  if (out) response.add_header("Content-Encoding", to_string(coding));
  return out;
}

Refusal body_too_large(std::size_t limit) {
  return {413, fmt::format("the body is larger than this server takes ({} bytes)", limit)};
}

Refusal no_body_memory() {
  return {503,
          "other requests' bodies fill the memory there is for them (server.body_memory); try again shortly"};
}

}  // namespace autoglm::http
