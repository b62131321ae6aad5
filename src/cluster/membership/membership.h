#pragma once

#include "base/result.h"
#include "cluster/membership/endpoint_spec.h"

#include <memory>
#include <vector>

namespace autoglm::cluster {

/// The endpoints of a model at one moment, in order: a snapshot, which a source hands to a sink whole. A
/// source that keeps the objects of the specs that have not changed spares the sink from comparing what is in
/// them.
struct Membership {
  std::vector<std::shared_ptr<const EndpointSpec>> endpoints;
};

/// The configuration's list as a membership: the static source.
Membership membership_of(const std::vector<EndpointSpec>& endpoints);

/// Takes the memberships of a model, one after another: from the configuration, later from registries.
/// Control loop only.
class MembershipSink {
 public:
  virtual ~MembershipSink() = default;

  /// Makes this the membership. Endpoints that stay are not disturbed: a sink compares, and acts on what
  /// differs. Errors: why nothing was changed, such as a certificate that cannot be read, or an address that
  /// is named twice.
  virtual Result<void> apply(const Membership& membership) = 0;
};

}  // namespace autoglm::cluster
