#include "gateway/front/http/caller.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string_view>

namespace autoglm::gateway {

namespace {

constexpr std::int64_t kLongestWait = std::int64_t{7} * 24 * 3600 * 1000;  // a week, in milliseconds

}  // namespace

std::string tenant_of(const http::Request& request) {
  if (!request.client_identity.empty()) return request.client_identity;
  for (const std::string_view name : {"authorization", "x-api-key"}) {
    if (const auto value = request.headers.find(name)) return std::string(*value);
  }
  return {};
}

Deadline deadline_of(const http::Request& request) {
  const auto text = request.headers.find("x-autoglm-timeout-ms");
  std::int64_t milliseconds = 0;
  if (!text) return Deadline::never();
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), milliseconds);
  if (error != std::errc() || end != text->data() + text->size() || milliseconds < 0)
    return Deadline::never();
  return Deadline::after(std::chrono::milliseconds(std::min(milliseconds, kLongestWait)));
}

CallContext context_of(const http::Request& request, const RequestRecord& record, Duration most) {
  return {.deadline = earlier(deadline_of(request), Deadline::after(most)),
          .tenant = tenant_of(request),
          .priority = 0,
          .span = record.span};
}

}  // namespace autoglm::gateway
