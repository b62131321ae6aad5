#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace autoglm {

/// Finds the certificate for the name a client asks for (SNI), by RFC 6125's rules. Names are compared
/// without case and without a trailing dot; `*.example.com` matches exactly one more label; an exact name
/// takes precedence over a wildcard; of two certificates for a name the first counts. Immutable once filled.
class ServerNames {
 public:
  /// Names that no client can ask for (`*`, `w*.example.com`, an empty one) are left out.
  void add(std::string_view name, std::size_t certificate);
  /// Nothing when no certificate is for `name`.
  std::optional<std::size_t> find(std::string_view name) const;

 private:
  std::unordered_map<std::string, std::size_t> exact_;
  std::unordered_map<std::string, std::size_t> below_;  // "example.com" for "*.example.com"
};

}  // namespace autoglm
