#include "cluster/membership/membership.h"

namespace autoglm::cluster {

Membership membership_of(const std::vector<EndpointSpec>& endpoints) {
  Membership membership;
  membership.endpoints.reserve(endpoints.size());
  for (const EndpointSpec& each : endpoints)
    membership.endpoints.push_back(std::make_shared<const EndpointSpec>(each));
  return membership;
}

}  // namespace autoglm::cluster
