#pragma once

#include "base/result.h"
#include "base/terminal.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace autoglm::app {

/// What GET /members says. Plain values; texts have no escapes for a terminal.
struct MemberList {
  struct Member {
    std::string from;
    std::string why;  ///< it is not asked; empty: it is
    std::int64_t weight = 1;
    bool held = false;
    bool backup = false;
    bool operator==(const Member&) const = default;
  };
  struct Registry {
    std::string error;  ///< why it could not be asked last
    bool up = false;
    std::int64_t members = 0;
    std::int64_t left_out = 0;
  };
  using Name = std::pair<std::string, std::string>;  ///< a model, and a server or a registry

  std::map<Name, Member> members;
  std::map<Name, Registry> registries;
};

/// Errors: kBadGateway for what is no such answer.
Result<MemberList> read_members(std::string_view answer);
/// A table of all members, and what is wrong with registries.
std::string member_table(const MemberList& list, const Paint& paint);
/// What happened between two answers, a line each, behind `time`; empty: nothing.
std::string member_changes(const MemberList& before, const MemberList& after, std::string_view time,
                           const Paint& paint);

}  // namespace autoglm::app
