#include "gateway/admission/keys/key_config.h"

#include "gateway/admission/keys/key_ring.h"

namespace autoglm::gateway {

config::Descriptor<KeyConfig> describe_key() {
  using C = KeyConfig;
  return config::Descriptor<C>("key",
                               "The keys that clients must show, as `Authorization: Bearer` or `x-api-key`. "
                               "None: the server is open.")
      .field(
          "name", &C::name,
          {.doc = "What logs, errors and metrics call it.", .example = "alice", .min = 1, .required = true})
      .field("key", &C::key,
             {.doc = "The key, at least 16 bytes, best from `${env:…}`; or `sha256:` and its digest, so that "
                     "the file does not contain the key.",
              .example = "${env:ALICE_KEY}",
              .min = 16,
              .secret = true})
      .field("certificate", &C::certificate,
             {.doc = "A name in the client certificates that stand for the key, where `server.tls.client_ca` "
                     "asks for "
                     "some: `spiffe://…`, another `uri:…`, `dns:…` or `cn:…`.",
              .example = "\"spiffe://example.org/web\""})
      .field(
          "tenant", &C::tenant,
          {.doc = "To whom it belongs; keys of a tenant share its limits. Unset: its name.", .example = "a"})
      .field("group", &C::group,
             {.doc = "The group of `groups` that its calls run in. Unset: none.", .example = "chat"})
      .field(
          "models", &C::models,
          {.doc = "The models that it may use; a `*` at the end stands for any rest.", .example = "[\"*\"]"})
      .field(
          "priority", &C::priority,
          {.doc = "The priority of its calls, 9 first. A call may ask for less by `x-priority`.", .max = 9})
      .field("limits", &C::limits,
             {.doc = "The limits per key, tenant and group that hold for it, by name. Unset: all.",
              .example = "[tokens, rps]"})
      .section("budget", &C::budget, describe_budget())
      .field("expires", &C::expires,
             {.doc = "When it ends, in RFC 3339; from then on its requests are refused. Unset: never.",
              .example = "\"2027-12-31T23:59:59Z\""})
      .field("labels", &C::labels, {.doc = "What the operator notes of it; no request depends on it."})
      .check([](const C& c) {
        std::vector<config::Violation> wrong;
        if (const auto ring = KeyRing::make(std::span(&c, 1)); !ring)
          wrong.push_back({ring.error().param, ring.error().message});
        if (c.key.empty() && c.certificate.empty())
          wrong.push_back({"key", "is missing; write it, or `certificate`"});
        if (c.name.starts_with("jwt:"))
          wrong.push_back({"name", "begins with jwt:, as the names of tokens' callers do"});
        if (c.models.empty())
          wrong.push_back({"models", "is empty: the key could use none; leave it out for all"});
        return wrong;
      });
}

}  // namespace autoglm::gateway
