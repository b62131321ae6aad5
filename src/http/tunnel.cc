#include "http/tunnel.h"

#include "http/head_parser.h"
#include "runtime/race.h"

#include <fmt/format.h>

#include <array>
#include <span>
#include <string>

namespace autoglm::http {

namespace {

Error proxy_error(const Proxy& proxy, std::string_view what) {
  return Error{.code = ErrorCode::kUnavailable,
               .origin = Origin::kEndpoint,
               .retry = Retry::kElsewhere,
               .message = fmt::format("the proxy {} {}", proxy.host.to_string(), what)};
}

}  // namespace

Task<Result<void>> open_tunnel(ByteStream& stream, const HostPort& target, const Proxy& proxy,
                               Deadline deadline) {
  const std::string to = target.to_string();
  std::string request = fmt::format("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n", to);
  if (!proxy.authorization.empty()) request += "Proxy-Authorization: " + proxy.authorization + "\r\n";
  request += "\r\n";
  if (auto sent =
          co_await with_deadline(deadline, stream.write_all(std::string_view(request)), "asking the proxy");
      !sent)
    co_return fail(sent.error());
  const HeadLimits limits;
  HeadScanner scanner(limits.bytes);
  std::string buffer;
  std::array<char, 1024> piece;
  while (true) {
    const auto count = co_await with_deadline(deadline, stream.read_some(std::span<char>(piece)),
                                              "waiting for the proxy's answer");
    if (!count) co_return fail(count.error());
    if (*count == 0) co_return fail(proxy_error(proxy, "closed the connection without an answer"));
    buffer.append(piece.data(), *count);
    const auto length = scanner.scan(buffer);
    if (!length) co_return fail(proxy_error(proxy, "answered with something that is no HTTP"));
    if (!*length) continue;
    const bool more = buffer.size() > **length;
    ResponseHead head;
    if (!parse_response_head(buffer.substr(0, **length), "CONNECT", limits, head))
      co_return fail(proxy_error(proxy, "answered with something that is no HTTP"));
    if (head.status / 100 != 2) {
      co_return fail(proxy_error(
          proxy, fmt::format("refuses to connect to {}: {} {}{}", to, head.status, reason_phrase(head.status),
                             head.status == 407 ? "; give user and password in HTTPS_PROXY" : "")));
    }
    // A TLS server does not speak first: these bytes would be the proxy's.
    if (more) co_return fail(proxy_error(proxy, "sends more than an answer"));
    co_return Result<void>();
  }
}

}  // namespace autoglm::http
