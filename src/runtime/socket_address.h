#pragma once

#include "base/result.h"
#include "runtime/socket.h"

#include <sys/socket.h>

#include <optional>
#include <string>
#include <vector>

namespace autoglm {

/// An address in the kernel's form. For sources of this room only.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = sizeof(sockaddr_storage);

  sockaddr* raw() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* raw() const { return reinterpret_cast<const sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
  std::uint16_t port() const;
  std::string to_string() const;  ///< "127.0.0.1:40312", "[::1]:40312"

  /// The address of a host that is an IP address, empty ("0.0.0.0") or "localhost"; nothing for other names.
  static std::optional<SocketAddress> numeric(const HostPort& address);
  /// Asks the system's resolver; blocks.
  static Result<std::vector<SocketAddress>> resolve(const HostPort& target);
};

}  // namespace autoglm
