#pragma once

#include "cluster/membership/endpoint_spec.h"
#include "gateway/endpoint/endpoint_factory.h"
#include "gateway/resilience/endpoint_record.h"
#include "gateway/routing/member.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace autoglm::gateway {

/// A member of a pool: an endpoint as one membership describes it, and what is known of it. Immutable; lives
/// as long as a list, an attempt or an answer refers to it.
struct PoolMember {
  std::string address;
  std::shared_ptr<const cluster::EndpointSpec> spec;
  std::shared_ptr<EndpointRecord> record;
  MemberEndpoint made;

  Endpoint& endpoint() const { return *made.endpoint; }
  const std::string& name() const { return record->state.name; }
  cluster::FailureLimit failure_limit() const {
    return {.max_fails = spec->max_fails, .window = spec->fail_timeout};
  }
};

/// The members of a pool at one moment: an immutable snapshot. A member has the same slot in every list, so
/// what loops remember by slot stays true; a slot whose member left is empty until a new member takes it, and
/// looks drained. Members move only when most slots have become empty.
struct MemberList {
  struct Owner {
    PoolMember* member = nullptr;  ///< null: the slot is empty; kept alive by the state in `members`
    EndpointRecord* record = nullptr;
  };

  std::vector<Member> members;       ///< by slot
  std::vector<Owner> owners;         ///< by slot
  std::vector<std::uint32_t> order;  ///< the slots of members, as the membership lists them
  std::vector<std::uint32_t> empty;  ///< the other slots

  std::size_t size() const { return order.size(); }
  /// Of a slot with a member.
  std::shared_ptr<PoolMember> shared(std::size_t slot) const {
    return {members[slot].state, owners[slot].member};
  }
};

}  // namespace autoglm::gateway
