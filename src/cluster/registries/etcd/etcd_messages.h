#pragma once

#include "base/result.h"
#include "cluster/registries/registry.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::cluster {

/// What stands at a key of etcd.
struct EtcdValue {
  std::string key;
  std::optional<std::string> value;  ///< nothing: it was deleted
  std::int64_t revision = 0;         ///< at which it was written last

  bool operator==(const EtcdValue&) const = default;
};

/// Which keys are asked for.
struct EtcdKeys {
  std::string begin;
  std::string end = {};  ///< the first key behind them; empty: `begin` alone

  /// Those that begin with `prefix`.
  static EtcdKeys below(std::string prefix);
  /// Whether it is one of them.
  bool has(const std::string& key) const;
};

/// What stands at some keys, at one revision.
struct EtcdRange {
  std::vector<EtcdValue> values;
  std::int64_t revision = 0;
};

/// A line of a watch.
struct EtcdEvents {
  std::vector<EtcdValue> changes;
  bool canceled = false;  ///< the watch is over: its revision was compacted, or the token is no longer good
  std::string reason;
};

/// Bodies of requests to etcd's JSON gateway.
std::string etcd_range_body(const EtcdKeys& keys);
std::string etcd_watch_body(const EtcdKeys& keys, std::int64_t from);
std::string etcd_login_body(std::string_view username, std::string_view password);

/// Reads answers of the JSON gateway. Errors: kBadGateway.
Result<EtcdRange> read_etcd_range(std::string_view body);
Result<EtcdEvents> read_etcd_events(std::string_view line);
Result<std::string> read_etcd_token(std::string_view body);

/// Reads a value as gRPC's naming writes it, {"Op":0,"Addr":"host:port","Metadata":{…}}, or "host:port", or a
/// URL, whose scheme and path become metadata. Nothing: it is none of these.
std::optional<Instance> read_etcd_instance(std::string_view value);

}  // namespace autoglm::cluster
