#pragma once

#include "base/published.h"
#include "base/result.h"
#include "gateway/admission/keys/key_config.h"
#include "gateway/admission/keys/key_digest.h"
#include "gateway/admission/usage/usage_day.h"
#include "inference/caller.h"

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace autoglm::gateway {

/// The keys of one source (the configuration, a file, the store) by their SHA-256: the keys themselves are
/// not kept. Immutable; thread-safe.
class KeyLayer {
 public:
  /// A key and whose it is. Two entries may have one caller: during a rotation the old key is still good.
  struct Entry {
    CallerPtr caller;
    std::optional<WallTime> expires;
  };

  /// Errors: kInvalidArgument for a digest, a certificate's name or a time that is none, and for two entries
  /// with the same key or certificate.
  static Result<std::shared_ptr<const KeyLayer>> make(std::span<const KeyConfig> keys);

  /// Before the layer is shared. Null, or the entry that has the same key.
  const Entry* add(const KeyDigest& digest, Entry entry);

  const Entry* find(const KeyDigest& digest) const;
  /// By a name in a certificate, with its kind.
  const Entry* find_certificate(std::string_view name) const;
  bool has_name(std::string_view name) const { return names_.contains(name); }
  std::size_t size() const { return entries_.size() + certificates_.size(); }

 private:
  std::unordered_map<KeyDigest, Entry, KeyDigestHash> entries_;
  std::map<std::string, Entry, std::less<>> certificates_;
  std::set<std::string, std::less<>> names_;
};

/// The caller that `key` describes.
CallerPtr caller_of(const KeyConfig& key);

/// The keys that clients may show, of all sources. A lookup takes as long for an unknown key as for a known
/// one and tells nothing of how near a guess was, since it compares digests. Immutable; thread-safe.
class KeyRing {
 public:
  /// What is known of a key that a client shows.
  struct Match {
    CallerPtr caller;         ///< null: it is no key of ours, or no longer
    bool is_expired = false;  ///< it was one
  };

  /// `layers` by their rank: a key, and a name, belongs to the first layer that has it. Names tell callers
  /// apart, so a later layer's key of the same name is not accepted. `asks`: clients must show a key even
  /// while there is none.
  KeyRing(std::vector<std::shared_ptr<const KeyLayer>> layers, bool asks)
      : layers_(std::move(layers)), asks_(asks) {}

  /// Of one layer. Errors: those of KeyLayer::make.
  static Result<std::shared_ptr<const KeyRing>> make(std::span<const KeyConfig> keys);

  Match find(std::string_view key, WallTime now) const;
  /// By the names of a verified certificate: the first that is somebody's.
  Match find_certificate(std::span<const std::string> names, WallTime now) const;
  /// Whether clients must show a key.
  bool asks() const;

 private:
  using Layers = std::vector<std::shared_ptr<const KeyLayer>>;
  Match match_of(const KeyLayer::Entry& entry, Layers::const_iterator layer, WallTime now) const;

  Layers layers_;
  bool asks_;
};

/// The keys of now, for all loops.
using LiveKeys = Published<KeyRing>;

}  // namespace autoglm::gateway
