#include "runtime/local_address.h"

#include "runtime/socket_address.h"
#include "runtime/socket_stream.h"

#include <netdb.h>
#include <sys/socket.h>

#include <array>

namespace autoglm {

namespace {

/// Connecting a datagram socket chooses the source address, and no more. Empty: there is no route.
std::string source_address(const SocketAddress& target) {
  const Socket socket(::socket(target.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (socket.fd() < 0 || ::connect(socket.fd(), target.raw(), target.length) != 0) return {};
  SocketAddress own;
  if (::getsockname(socket.fd(), own.raw(), &own.length) != 0) return {};
  std::array<char, NI_MAXHOST> host{};
  if (::getnameinfo(own.raw(), own.length, host.data(), host.size(), nullptr, 0, NI_NUMERICHOST) != 0)
    return {};
  return host.data();
}

}  // namespace

Result<std::string> local_address_towards(const HostPort& target, bool only_ipv4) {
  auto addresses = SocketAddress::resolve(target);
  if (!addresses) return fail(std::move(addresses).error());
  for (const SocketAddress& each : *addresses) {
    if (only_ipv4 && each.family() != AF_INET) continue;
    if (std::string host = source_address(each); !host.empty()) return host;
  }
  return fail(ErrorCode::kUnavailable, "no route leads to " + target.to_string());
}

}  // namespace autoglm
