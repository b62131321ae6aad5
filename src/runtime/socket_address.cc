#include "runtime/socket_address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include <array>
#include <cstring>
#include <memory>

namespace autoglm {

namespace {

struct AddressListDeleter {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};
using AddressList = std::unique_ptr<addrinfo, AddressListDeleter>;

int look_up(const HostPort& target, int flags, AddressList& list) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* raw = nullptr;
  const int status = ::getaddrinfo(target.host.c_str(), std::to_string(target.port).c_str(), &hints, &raw);
  list.reset(raw);
  return status;
}

SocketAddress copy(const addrinfo& entry) {
  SocketAddress address;
  std::memcpy(&address.storage, entry.ai_addr, entry.ai_addrlen);
  address.length = entry.ai_addrlen;
  return address;
}

}  // namespace

std::uint16_t SocketAddress::port() const {
  return ntohs(family() == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(storage).sin6_port
                                    : reinterpret_cast<const sockaddr_in&>(storage).sin_port);
}

std::string SocketAddress::to_string() const {
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> service{};
  if (::getnameinfo(raw(), length, host.data(), host.size(), service.data(), service.size(),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return "unknown";
  }
  return HostPort{host.data(), port()}.to_string();
}

std::optional<SocketAddress> SocketAddress::numeric(const HostPort& address) {
  const std::string host = address.host == "localhost" ? "127.0.0.1"
                           : address.host.empty()      ? "0.0.0.0"
                                                       : address.host;
  SocketAddress result;
  auto& v4 = reinterpret_cast<sockaddr_in&>(result.storage);
  // inet_pton, because getaddrinfo also accepts "8080" as an address.
  if (::inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(address.port);
    result.length = sizeof(sockaddr_in);
    return result;
  }
  AddressList list;
  if (host.find(':') == std::string::npos || look_up({host, address.port}, AI_NUMERICHOST, list) != 0)
    return std::nullopt;
  return copy(*list);
}

Result<std::vector<SocketAddress>> SocketAddress::resolve(const HostPort& target) {
  AddressList list;
  if (const int status = look_up(target, AI_ADDRCONFIG, list); status != 0) {
    return fail(
        Error{.code = ErrorCode::kUnavailable,
              .origin = Origin::kEndpoint,
              .retry = Retry::kElsewhere,
              .message = "cannot resolve the host name \"" + target.host + "\": " + ::gai_strerror(status)});
  }
  std::vector<SocketAddress> addresses;
  for (const addrinfo* entry = list.get(); entry != nullptr; entry = entry->ai_next)
    addresses.push_back(copy(*entry));
  return addresses;
}

}  // namespace autoglm
