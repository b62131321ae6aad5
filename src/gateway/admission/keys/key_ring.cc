#include "gateway/admission/keys/key_ring.h"

#include "gateway/admission/keys/expiry.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace autoglm::gateway {

namespace {

Result<KeyDigest> configured_digest(const KeyConfig& config) {
  constexpr std::string_view kHashed = "sha256:";
  const std::string_view text(config.key);
  if (!text.starts_with(kHashed)) return digest_of_key(text);
  if (const auto digest = parse_digest(text.substr(kHashed.size()))) return *digest;
  return fail(invalid_field("key",
                            "the digest behind sha256: must be 64 hexadecimal digits, as `printf %s KEY | "
                            "sha256sum` prints them"));
}

/// The name with its kind, as certificates are said to have it.
Result<std::string> certificate_name(std::string_view text) {
  std::string name = text.starts_with("spiffe://") ? "uri:" + std::string(text) : std::string(text);
  const std::size_t kind = name.find(':');
  const bool is_known = name.starts_with("uri:") || name.starts_with("dns:") || name.starts_with("cn:");
  if (!is_known || kind + 1 == name.size())
    return fail(invalid_field("certificate", "must be spiffe://…, uri:…, dns:… or cn:…"));
  if (name.starts_with("dns:"))
    for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return name;
}

Error same_as(std::string field, const KeyLayer::Entry& other) {
  return invalid_field(std::move(field), fmt::format("is the same as that of \"{}\"", other.caller->key));
}

}  // namespace

CallerPtr caller_of(const KeyConfig& key) {
  return std::make_shared<const Caller>(Caller{.key = key.name,
                                               .tenant = key.tenant_name(),
                                               .group = key.group,
                                               .models = key.models,
                                               .priority = key.priority,
                                               .limits = key.limits});
}

Result<std::shared_ptr<const KeyLayer>> KeyLayer::make(std::span<const KeyConfig> keys) {
  auto layer = std::make_shared<KeyLayer>();
  for (const KeyConfig& each : keys) {
    Entry entry{.caller = caller_of(each), .expires = std::nullopt};
    if (!each.expires.empty()) {
      const auto expires = parse_moment(each.expires);
      if (!expires) return fail(expires.error());
      entry.expires = *expires;
    }
    if (!each.certificate.empty()) {
      const auto name = certificate_name(each.certificate);
      if (!name) return fail(name.error());
      const auto [other, is_new] = layer->certificates_.emplace(*name, entry);
      if (!is_new) return fail(same_as("certificate", other->second));
      layer->names_.insert(each.name);
    }
    if (each.key.empty() && !each.certificate.empty()) continue;
    const auto digest = configured_digest(each);
    if (!digest) return fail(digest.error());
    if (const Entry* other = layer->add(*digest, std::move(entry))) return fail(same_as("key", *other));
  }
  return layer;
}

const KeyLayer::Entry* KeyLayer::add(const KeyDigest& digest, Entry entry) {
  std::string name = entry.caller->key;
  const auto [at, is_new] = entries_.emplace(digest, std::move(entry));
  if (!is_new) return &at->second;
  names_.insert(std::move(name));
  return nullptr;
}

const KeyLayer::Entry* KeyLayer::find(const KeyDigest& digest) const {
  const auto found = entries_.find(digest);
  return found == entries_.end() ? nullptr : &found->second;
}

const KeyLayer::Entry* KeyLayer::find_certificate(std::string_view name) const {
  const auto found = certificates_.find(name);
  return found == certificates_.end() ? nullptr : &found->second;
}

Result<std::shared_ptr<const KeyRing>> KeyRing::make(std::span<const KeyConfig> keys) {
  auto layer = KeyLayer::make(keys);
  if (!layer) return fail(std::move(layer).error());
  return std::make_shared<const KeyRing>(std::vector{std::move(*layer)}, false);
}

KeyRing::Match KeyRing::match_of(const KeyLayer::Entry& entry, Layers::const_iterator layer,
                                 WallTime now) const {
  const bool is_taken = std::any_of(
      layers_.begin(), layer, [&](const auto& earlier) { return earlier->has_name(entry.caller->key); });
  if (is_taken) return {};
  if (entry.expires && *entry.expires <= now) return {.caller = nullptr, .is_expired = true};
  return {.caller = entry.caller};
}

KeyRing::Match KeyRing::find(std::string_view key, WallTime now) const {
  const KeyDigest digest = digest_of_key(key);
  for (auto layer = layers_.begin(); layer != layers_.end(); ++layer)
    if (const KeyLayer::Entry* entry = (*layer)->find(digest)) return match_of(*entry, layer, now);
  return {};
}

KeyRing::Match KeyRing::find_certificate(std::span<const std::string> names, WallTime now) const {
  for (auto layer = layers_.begin(); layer != layers_.end(); ++layer)
    for (const std::string& name : names)
      if (const KeyLayer::Entry* entry = (*layer)->find_certificate(name))
        return match_of(*entry, layer, now);
  return {};
}

bool KeyRing::asks() const {
  return asks_ || std::ranges::any_of(layers_, [](const auto& layer) { return layer->size() > 0; });
}

}  // namespace autoglm::gateway
