#pragma once

#include "base/result.h"
#include "config/make_type.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::gateway {

/// How a token is signed (RFC 7518).
enum class TokenAlgorithm : std::uint8_t { kRs256, kEs256, kHs256 };
inline std::array<config::EnumName<TokenAlgorithm>, 3> enum_names(TokenAlgorithm) {
  return {{{"RS256", TokenAlgorithm::kRs256},
           {"ES256", TokenAlgorithm::kEs256},
           {"HS256", TokenAlgorithm::kHs256}}};
}

/// One key that tokens may be signed with, for one algorithm alone: a token cannot have it used for another.
struct TokenKey {
  std::string kid;  ///< empty: it has none
  TokenAlgorithm algorithm{};
  std::string material;  ///< the public key in PEM, or HS256's secret

  bool operator==(const TokenKey&) const = default;
};

/// The keys of an issuer (RFC 7517). Immutable; thread-safe.
class JwkSet {
 public:
  static constexpr std::size_t kMostBytes = std::size_t{1} << 20U;
  static constexpr std::size_t kMostKeys = 128;

  /// Keys for other uses and algorithms are left out, and so are broken ones and weak ones: RSA below 2048
  /// bits, secrets below 256. A set may be left with none: its issuer has withdrawn them. Errors:
  /// kInvalidArgument for what is no set.
  static Result<std::shared_ptr<const JwkSet>> parse(std::string_view json);
  /// The one key of a shared secret.
  static std::shared_ptr<const JwkSet> of_secret(std::string secret);

  /// The key for a token: the one of its `kid`; for a token without one, the only key for its algorithm.
  const TokenKey* find(const std::optional<std::string>& kid, TokenAlgorithm algorithm) const;
  const std::vector<TokenKey>& keys() const { return keys_; }
  bool operator==(const JwkSet&) const = default;

 private:
  std::vector<TokenKey> keys_;
};

}  // namespace autoglm::gateway
