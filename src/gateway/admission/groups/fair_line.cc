#include "gateway/admission/groups/fair_line.h"

#include <algorithm>
#include <iterator>

namespace autoglm::gateway {

FairLine::Flow& FairLine::flow_of(Class& of, std::string_view tenant) {
  const auto found = of.flows.find(tenant);
  if (found != of.flows.end()) return found->second;
  const auto made = of.flows.emplace(tenant, Flow{}).first;
  made->second.tenant = made->first;
  made->second.number = ++flows_;
  return made->second;
}

void FairLine::unlink(Class& of, const Flow& flow) {
  if (flow.waiting.empty()) {
    of.idle.erase({flow.served, flow.number});
    return;
  }
  of.turns.erase({flow.served, flow.waiting.begin()->first});
  of.sizes.erase({flow.waiting.size(), flow.waiting.rbegin()->first});
}

void FairLine::link(Class& of, Flow& flow) {
  if (flow.waiting.empty()) {
    of.idle.emplace(std::pair(flow.served, flow.number), &flow);
    return;
  }
  of.turns.emplace(std::pair(flow.served, flow.waiting.begin()->first), &flow);
  of.sizes.emplace(std::pair(flow.waiting.size(), flow.waiting.rbegin()->first), &flow);
}

void FairLine::sweep(Class& of) {
  if (of.waiting == 0) {
    of.flows.clear();
    of.idle.clear();
    of.clock = 0;
    return;
  }
  while (!of.idle.empty()) {
    const auto first = of.idle.begin();
    if (first->first.first > of.clock && of.idle.size() <= kMostIdle) return;
    const Flow* flow = first->second;
    of.idle.erase(first);
    of.flows.erase(of.flows.find(flow->tenant));
  }
}

FairLine::Joined FairLine::join(std::string_view tenant, std::uint8_t priority, std::uint64_t cost,
                                MonotonicTime now) {
  priority = std::min(priority, kMaxPriority);
  Joined joined;
  if (where_.size() >= size_) {
    joined.displaced = less_important(tenant, priority);
    if (!joined.displaced) return joined;
    leave(*joined.displaced);
  }
  Class& of = classes_[priority];
  Flow& flow = flow_of(of, tenant);
  unlink(of, flow);
  if (flow.waiting.empty()) flow.served = std::max(flow.served, of.clock);
  joined.key = ++last_;
  flow.waiting.emplace(*joined.key, Entry{std::clamp<std::uint64_t>(cost, 1, kMostCost), now});
  ++of.waiting;
  link(of, flow);
  where_.emplace(*joined.key, Where{priority, &flow});
  return joined;
}

std::optional<FairLine::Key> FairLine::next(MonotonicTime now) {
  Class* best = nullptr;
  std::uint8_t highest = 0;
  for (std::uint8_t priority = 0; priority <= kMaxPriority; ++priority) {
    Class& of = classes_[priority];
    if (of.waiting == 0) continue;
    const std::uint8_t its = level(priority, now);
    if (best != nullptr && (its < highest || (its == highest && of.turn > best->turn))) continue;
    best = &of;
    highest = its;
  }
  if (best == nullptr) return std::nullopt;
  Flow& flow = *best->turns.begin()->second;
  unlink(*best, flow);
  const auto first = flow.waiting.begin();
  const Key key = first->first;
  best->clock = flow.served;
  flow.served += first->second.cost;
  flow.waiting.erase(first);
  --best->waiting;
  best->turn = ++turns_;
  link(*best, flow);
  where_.erase(key);
  sweep(*best);
  return key;
}

bool FairLine::leave(Key key) {
  const auto found = where_.find(key);
  if (found == where_.end()) return false;
  Class& of = classes_[found->second.priority];
  Flow& flow = *found->second.flow;
  unlink(of, flow);
  flow.waiting.erase(key);
  --of.waiting;
  link(of, flow);
  where_.erase(found);
  sweep(of);
  return true;
}

std::vector<FairLine::Key> FairLine::change(std::size_t size, Duration aging) {
  size_ = size;
  aging_ = aging;
  std::vector<Key> shed;
  while (where_.size() > size_) {
    shed.push_back(least_important());
    leave(shed.back());
  }
  return shed;
}

std::size_t FairLine::ahead(std::string_view tenant, std::uint8_t priority) const {
  priority = std::min(priority, kMaxPriority);
  std::size_t count = 0;
  for (std::size_t higher = priority + std::size_t{1}; higher <= kMaxPriority; ++higher)
    count += classes_[higher].waiting;
  const Class& of = classes_[priority];
  const auto own = of.flows.find(tenant);
  const std::size_t turn = (own == of.flows.end() ? 0 : own->second.waiting.size()) + 1;
  for (const auto& [order, flow] : of.turns) count += std::min(flow->waiting.size(), turn);
  return count;
}

std::uint8_t FairLine::level(std::uint8_t priority, MonotonicTime now) const {
  const Entry& first = classes_[priority].turns.begin()->second->waiting.begin()->second;
  const Duration waited = std::max(now - first.arrived, Duration::zero());
  const auto risen = std::min<Duration::rep>(waited / std::max(aging_, Duration(1)), kMaxPriority);
  return static_cast<std::uint8_t>(std::min<Duration::rep>(priority + risen, kMaxPriority));
}

std::optional<FairLine::Key> FairLine::less_important(std::string_view tenant, std::uint8_t priority) const {
  if (empty()) return std::nullopt;
  const std::uint8_t least = lowest();
  if (least > priority) return std::nullopt;
  if (least == priority) {
    const Class& of = classes_[least];
    const auto own = of.flows.find(tenant);
    const std::size_t has = own == of.flows.end() ? 0 : own->second.waiting.size();
    if (of.sizes.rbegin()->first.first < has + 2) return std::nullopt;
  }
  return least_important();
}

FairLine::Key FairLine::least_important() const { return classes_[lowest()].sizes.rbegin()->first.second; }

std::uint8_t FairLine::lowest() const {
  std::uint8_t priority = 0;
  while (classes_[priority].waiting == 0) ++priority;
  return priority;
}

}  // namespace autoglm::gateway
