#pragma once

#include "base/published.h"
#include "base/result.h"
#include "gateway/admission/keys/key_config.h"
#include "inference/caller.h"

#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <unordered_map>

namespace autoglm::gateway {

/// The keys that clients may show, by their SHA-256: the keys themselves are not kept. A lookup takes as long
/// for an unknown key as for a known one and tells nothing of how near a guess was, since it compares
/// digests. Immutable; thread-safe.
class KeyRing {
 public:
  /// Errors: kInvalidArgument for a digest that is none, and for two entries with the same key.
  static Result<std::shared_ptr<const KeyRing>> make(std::span<const KeyConfig> keys);

  /// Null: it is no key of ours.
  CallerPtr find(std::string_view key) const;
  bool empty() const { return callers_.empty(); }

 private:
  using Digest = std::array<unsigned char, 32>;
  struct FirstBytes {
    std::size_t operator()(const Digest& digest) const {
      std::size_t hash = 0;
      std::memcpy(&hash, digest.data(), sizeof hash);
      return hash;
    }
  };
  static Result<Digest> digest_of(const KeyConfig& config);

  std::unordered_map<Digest, CallerPtr, FirstBytes> callers_;
};

/// The keys of now, for all loops.
using LiveKeys = Published<KeyRing>;

}  // namespace autoglm::gateway
