#include "gateway/resilience/roster.h"

#include "base/assert.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace autoglm::gateway {

namespace {

using Spec = std::shared_ptr<const cluster::EndpointSpec>;

// Up to so many slots, empty ones cost a pick nothing to speak of.
constexpr std::size_t kFewSlots = 64;

bool same(const Spec& one, const Spec& other) { return one == other || *one == *other; }

/// The state of a slot without a member.
std::shared_ptr<cluster::MemberState> nobody() {
  auto state = std::make_shared<cluster::MemberState>("");
  state->enabled = false;
  return state;
}

Error named_twice(const cluster::EndpointSpec& spec) {
  return Error{.code = ErrorCode::kInvalidArgument,
               .message = fmt::format("two endpoints have the address {}", spec.url)};
}

}  // namespace

/// A list in the making.
class Roster::Draft {
 public:
  explicit Draft(Roster& roster) : roster_(roster), list_(std::make_shared<MemberList>(*roster.list_)) {}

  /// Puts members for `wanted` in place of those from `front` to the last `back`.
  Result<void> replace(std::size_t front, std::size_t back, std::span<const Spec> wanted);
  Change finish();

 private:
  struct Newcomer {
    std::size_t position;  // in the order
    std::shared_ptr<PoolMember> member;
  };
  Result<void> change(std::uint32_t slot, const Spec& spec);
  Result<std::shared_ptr<PoolMember>> make(std::string address, const Spec& spec,
                                           std::shared_ptr<EndpointRecord> record);
  void put(std::uint32_t slot, const std::shared_ptr<PoolMember>& member);
  void vacate(std::uint32_t slot);
  std::uint32_t vacant_slot();
  void close_gaps();

  Roster& roster_;
  std::shared_ptr<MemberList> list_;
  Change change_;
};

Result<void> Roster::Draft::replace(std::size_t front, std::size_t back, std::span<const Spec> wanted) {
  auto& order = list_->order;
  const auto first = order.begin() + static_cast<std::ptrdiff_t>(front);
  const std::vector<std::uint32_t> before(first, order.end() - static_cast<std::ptrdiff_t>(back));
  // What the source has left as it was is recognized by its object, without a look at its address.
  std::unordered_map<const cluster::EndpointSpec*, std::uint32_t> unchanged;
  for (const std::uint32_t slot : before) unchanged.emplace(list_->owners[slot].member->spec.get(), slot);
  std::unordered_set<std::uint32_t> staying;
  for (const Spec& spec : wanted)
    if (const auto same = unchanged.find(spec.get()); same != unchanged.end())
      if (!staying.insert(same->second).second) return fail(named_twice(*spec));
  std::vector<std::uint32_t> others;
  std::ranges::copy_if(before, std::back_inserter(others),
                       [&](std::uint32_t slot) { return !staying.contains(slot); });
  std::unordered_map<std::string_view, std::uint32_t> leaving;  // until somebody wants them
  for (const std::uint32_t slot : others) leaving.emplace(list_->owners[slot].member->address, slot);
  std::unordered_set<std::string> seen;
  std::vector<std::uint32_t> after;
  std::vector<Newcomer> newcomers;
  for (const Spec& spec : wanted) {
    if (const auto same = unchanged.find(spec.get()); same != unchanged.end()) {
      after.push_back(same->second);
      continue;
    }
    const auto url = cluster::api_url(*spec);
    if (!url) return fail(url.error());
    std::string address = address_of(*url);
    const auto known = leaving.find(address);
    const bool elsewhere = known == leaving.end() && roster_.addresses_.contains(address);
    if (!seen.insert(address).second || elsewhere) return fail(named_twice(*spec));
    if (known != leaving.end()) {
      after.push_back(known->second);
      leaving.erase(known);
      if (auto changed = change(after.back(), spec); !changed) return changed;
      continue;
    }
    auto made = make(std::move(address), spec, roster_.records_.of(*url, roster_.config_.breaker));
    if (!made) return fail(made.error());
    newcomers.push_back({after.size(), std::move(*made)});
    after.push_back(0);
  }
  for (const std::uint32_t slot : others)
    if (leaving.contains(list_->owners[slot].member->address)) vacate(slot);
  for (const Newcomer& newcomer : newcomers) put(after[newcomer.position] = vacant_slot(), newcomer.member);
  std::vector<std::uint32_t> whole(order.begin(), first);
  whole.insert(whole.end(), after.begin(), after.end());
  whole.insert(whole.end(), order.end() - static_cast<std::ptrdiff_t>(back), order.end());
  order = std::move(whole);
  return {};
}

/// Of an endpoint that stays, at most its spec differs.
Result<void> Roster::Draft::change(std::uint32_t slot, const Spec& spec) {
  const std::shared_ptr<PoolMember> before = list_->shared(slot);
  if (same(before->spec, spec)) return {};
  if (asks_alike(*before->spec, *spec)) {
    put(slot, std::make_shared<PoolMember>(PoolMember{
                  .address = before->address, .spec = spec, .record = before->record, .made = before->made}));
    return {};
  }
  auto made = make(before->address, spec, before->record);
  if (!made) return fail(made.error());
  change_.removed.push_back(before);
  put(slot, *made);
  return {};
}

Result<std::shared_ptr<PoolMember>> Roster::Draft::make(std::string address, const Spec& spec,
                                                        std::shared_ptr<EndpointRecord> record) {
  auto made = roster_.factory_.make(*spec, record->kind);
  if (!made) return fail(made.error());
  change_.added.push_back(std::make_shared<PoolMember>(PoolMember{
      .address = std::move(address), .spec = spec, .record = std::move(record), .made = std::move(*made)}));
  return change_.added.back();
}

void Roster::Draft::put(std::uint32_t slot, const std::shared_ptr<PoolMember>& member) {
  const cluster::EndpointSpec& spec = *member->spec;
  EndpointRecord& record = *member->record;
  list_->members[slot] = {.state = {member, &record.state},
                          .endpoint = &member->endpoint(),
                          .id = record.id,
                          .weight = spec.weight,
                          .backup = spec.backup,
                          .max_connections = spec.max_connections,
                          .slow_start = roster_.config_.health.slow_start};
  list_->owners[slot] = {.member = member.get(), .record = &record};
}

void Roster::Draft::vacate(std::uint32_t slot) {
  change_.removed.push_back(list_->shared(slot));
  list_->members[slot] = {.state = nobody(), .endpoint = nullptr};
  list_->owners[slot] = {};
  list_->empty.push_back(slot);
}

std::uint32_t Roster::Draft::vacant_slot() {
  if (list_->empty.empty()) {
    list_->members.push_back({.state = nullptr, .endpoint = nullptr});
    list_->owners.emplace_back();
    return static_cast<std::uint32_t>(list_->owners.size() - 1);
  }
  const std::uint32_t slot = list_->empty.back();
  list_->empty.pop_back();
  return slot;
}

/// Shortens the list where its end is empty; and makes a new one where most of it is.
void Roster::Draft::close_gaps() {
  MemberList& list = *list_;
  if (list.members.size() > kFewSlots && list.empty.size() > list.size()) {
    MemberList dense;
    for (const std::uint32_t slot : list.order) {
      dense.order.push_back(static_cast<std::uint32_t>(dense.members.size()));
      dense.members.push_back(list.members[slot]);
      dense.owners.push_back(list.owners[slot]);
    }
    list = std::move(dense);
    return;
  }
  while (!list.owners.empty() && list.owners.back().member == nullptr) {
    list.owners.pop_back();
    list.members.pop_back();
  }
  std::erase_if(list.empty, [&](std::uint32_t slot) { return slot >= list.owners.size(); });
}

Roster::Change Roster::Draft::finish() {
  close_gaps();
  change_.from = roster_.list_;
  change_.list = std::move(list_);
  return std::move(change_);
}

/// Only what is between the beginning and the end that both lists have in common is looked up by address.
Result<Roster::Change> Roster::prepare(const cluster::Membership& membership) {
  const MemberList& now = *list_;
  const std::vector<Spec>& wanted = membership.endpoints;
  const auto stays = [&](std::size_t was, std::size_t is) {
    return same(now.owners[now.order[was]].member->spec, wanted[is]);
  };
  const std::size_t least = std::min(now.size(), wanted.size());
  std::size_t front = 0;
  while (front < least && stays(front, front)) ++front;
  std::size_t back = 0;
  while (back < least - front && stays(now.size() - 1 - back, wanted.size() - 1 - back)) ++back;
  if (front == now.size() && front == wanted.size()) return Change{};
  Draft draft(*this);
  const std::span<const Spec> differing(wanted.begin() + static_cast<std::ptrdiff_t>(front),
                                        wanted.size() - front - back);
  if (auto replaced = draft.replace(front, back, differing); !replaced) return fail(replaced.error());
  return draft.finish();
}

void Roster::adopt(const Change& change, MonotonicTime now) {
  if (change.list == nullptr) return;
  AUTOGLM_ASSERT(change.from == list_, "the change was prepared from another list");
  list_ = change.list;
  // First those that are named: one whose endpoint is made anew has not been away.
  for (const auto& member : change.added)
    if (records_.joins(member->address)) member->record->state.health.returned(now);
  for (const auto& member : change.removed) {
    records_.leaves(member->address, now);
    addresses_.erase(member->address);
  }
  for (const auto& member : change.added) addresses_.insert(member->address);
}

Roster::~Roster() {
  const MonotonicTime now = std::chrono::steady_clock::now();
  for (const std::string& address : addresses_) records_.leaves(address, now);
}

}  // namespace autoglm::gateway
