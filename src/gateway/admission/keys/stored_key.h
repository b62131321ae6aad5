#pragma once

#include "gateway/admission/keys/key_config.h"
#include "gateway/admission/keys/key_digest.h"
#include "gateway/admission/usage/usage_day.h"

#include <cstdint>
#include <optional>
#include <string>

namespace autoglm::gateway {

/// A key of the store, which was made at run time.
struct StoredKey {
  /// The key before the last rotation, as long as it is still good.
  struct Previous {
    KeyDigest digest{};
    WallTime until;
    bool operator==(const Previous&) const = default;
  };

  KeyConfig rights;  ///< `rights.key` is empty: nobody has the key but its holder
  KeyDigest digest{};
  std::string tail;  ///< the key's last four letters, by which its holder recognizes it
  WallTime created;
  std::optional<WallTime> revoked;
  std::optional<Previous> previous;

  bool operator==(const StoredKey&) const = default;
};

/// A key that was just made: the only moment at which its text is known.
struct MadeKey {
  StoredKey stored;
  std::string key;
};

}  // namespace autoglm::gateway
