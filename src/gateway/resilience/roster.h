#pragma once

#include "cluster/membership/membership.h"
#include "gateway/endpoint/endpoint_factory.h"
#include "gateway/resilience/endpoint_records.h"
#include "gateway/resilience/member_list.h"
#include "gateway/resilience/pool_config.h"

#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

namespace autoglm::gateway {

/// Makes a pool's lists of members from memberships. What stays keeps its member and its slot: of a change of
/// one among ten thousand, the list is copied and one member is made. Control loop only.
class Roster {
 public:
  /// From one list to the next.
  struct Change {
    std::shared_ptr<const MemberList> from;
    std::shared_ptr<const MemberList> list;  ///< null: nothing differs
    /// Members whose endpoint was made for this list, and members of the list before whose endpoint the new
    /// one does not have. A member of which only the part in the pool differs (its weight, say) is in
    /// neither.
    std::vector<std::shared_ptr<PoolMember>> added;
    std::vector<std::shared_ptr<PoolMember>> removed;
  };

  /// `config`, without its endpoints, says how the members are used.
  Roster(const PoolConfig& config, EndpointRecords& records, EndpointFactory& factory)
      : config_(config), records_(records), factory_(factory) {}
  ~Roster();

  /// The present list; never null.
  const std::shared_ptr<const MemberList>& list() const { return list_; }
  /// The change that leads to `membership`; changes nothing here. Errors: an address that is named twice, or
  /// what the factory says.
  Result<Change> prepare(const cluster::Membership& membership);
  /// Makes a change's list the present one; `change` was prepared from the one before. A member that was away
  /// begins with a part of its share.
  void adopt(const Change& change, MonotonicTime now);

 private:
  class Draft;

  const PoolConfig& config_;
  EndpointRecords& records_;
  EndpointFactory& factory_;
  std::shared_ptr<const MemberList> list_ = std::make_shared<const MemberList>();
  std::unordered_set<std::string> addresses_;  // of the present members
};

}  // namespace autoglm::gateway
