#pragma once

#include "base/result.h"
#include "cluster/registration/registrar.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace autoglm::cluster {

/// A lease, as a grant or a keepalive tells of it.
struct EtcdLease {
  std::int64_t id = 0;
  std::int64_t ttl = 0;  ///< seconds; 0: it is gone
};

/// What stands at a key, and by whose lease.
struct EtcdHolder {
  std::string value;
  std::int64_t lease = 0;
  std::int64_t revision = 0;  ///< of its last change
};

/// The outcome of a transaction that writes a key.
struct EtcdWrite {
  bool written = false;
  std::optional<EtcdHolder> holder;  ///< who has it, when it was not written; nothing: nobody any more
};

/// {"Op":0,"Addr":"host:port","Metadata":{…}}: the value by which gRPC's naming finds a server. Its weight
/// and tags are metadata.
std::string etcd_naming_value(const Registration& self);

/// Bodies of requests to etcd's JSON gateway.
std::string etcd_grant_body(std::int64_t ttl_seconds);
std::string etcd_lease_body(std::int64_t lease);
/// Writes a key that is not there, or (by `revision` above 0) one that has not changed since; else reads it.
std::string etcd_write_body(std::string_view key, std::string_view value, std::int64_t lease,
                            std::int64_t revision);

/// Reads answers of the JSON gateway. Errors: kBadGateway.
Result<EtcdLease> read_etcd_lease(std::string_view body);
Result<EtcdWrite> read_etcd_write(std::string_view body);

}  // namespace autoglm::cluster
