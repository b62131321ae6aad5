#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace autoglm {

/// Whose certificate a client means that asks for a name (SNI): RFC 6125's rules. Names compare without
/// case and without a last dot; `*.example.com` is for exactly one more label; a certificate of the name
/// itself goes before one with a wildcard; of two for one name the first counts. Immutable once filled.
class ServerNames {
 public:
  /// Names that nobody can ask for (`*`, `w*.example.com`, an empty one) are left out.
  void add(std::string_view name, std::size_t certificate);
  /// Nothing when no certificate is for `name`.
  std::optional<std::size_t> find(std::string_view name) const;

 private:
  std::unordered_map<std::string, std::size_t> exact_;
  std::unordered_map<std::string, std::size_t> below_;  // "example.com" for "*.example.com"
};

}  // namespace autoglm
