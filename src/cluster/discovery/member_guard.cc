#include "cluster/discovery/member_guard.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace autoglm::cluster {

namespace {

constexpr Duration kBetweenLooks = std::chrono::seconds(1);  // at held members that are well

}  // namespace

bool MemberGuard::offer(const std::vector<Spec>& listed, MonotonicTime now) {
  std::unordered_map<std::string_view, const Spec*> before;
  for (const Spec& member : members_) before.emplace(member->url, &member);
  std::vector<Spec> next;
  next.reserve(std::max(listed.size(), members_.size()));
  std::unordered_map<std::string_view, const Spec*> after;
  for (const Spec& each : listed) {
    if (!after.emplace(each->url, &each).second) continue;
    // An object that says the same is kept: the pool compares by address first.
    const auto same = before.find(each->url);
    const bool is_same = same != before.end() && (*same->second == each || **same->second == *each);
    next.push_back(is_same ? *same->second : each);
    held_.erase(each->url);
  }
  if (!lengths_.empty()) lengths_.back().first = now;  // the last list has been in force until now
  if (!is_ill())
    while (!lengths_.empty() && now - lengths_.front().first > options_.hold) lengths_.pop_front();
  listed_ = after.size();
  while (!lengths_.empty() && lengths_.back().second <= listed_) lengths_.pop_back();
  lengths_.emplace_back(now, listed_);
  longest_ = lengths_.front().second;
  for (const Spec& member : members_) {
    if (after.contains(member->url)) continue;
    if (!held_.contains(member->url)) {
      if (!is_ill()) continue;
      held_.emplace(member->url, now);
    }
    next.push_back(member);
  }
  const bool changed = next != members_;
  members_ = std::move(next);
  return changed;
}

bool MemberGuard::release(MonotonicTime now, FunctionRef<bool(const EndpointSpec&)> is_well) {
  if (held_.empty()) return false;
  looked_ = now;
  const auto goes = [&](const Spec& member) {
    const auto since = held_.find(member->url);
    if (since == held_.end() || now - since->second < options_.hold) return false;
    if (is_ill() && is_well(*member)) return false;
    held_.erase(since);
    return true;
  };
  const bool changed = std::erase_if(members_, goes) > 0;
  if (held_.empty()) {  // what is left is the list, and was confirmed
    longest_ = listed_;
    lengths_ = {{now, listed_}};
  }
  return changed;
}

std::optional<MonotonicTime> MemberGuard::release_at() const {
  if (held_.empty()) return std::nullopt;
  const auto first = std::ranges::min_element(held_, {}, [](const auto& each) { return each.second; });
  return std::max(first->second + options_.hold, looked_ + kBetweenLooks);
}

}  // namespace autoglm::cluster
