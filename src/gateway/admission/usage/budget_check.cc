#include "gateway/admission/usage/budget_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <string_view>
#include <vector>

namespace autoglm::gateway {

namespace {

// A hard budget gives an answer that goes on so many at a time.
constexpr std::uint32_t kStepTokens = 64;

std::uint32_t to_count(std::uint64_t tokens) {
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(tokens, std::numeric_limits<std::uint32_t>::max()));
}

std::uint64_t plus(std::uint64_t a, std::uint64_t b) {
  return a > std::numeric_limits<std::uint64_t>::max() - b ? std::numeric_limits<std::uint64_t>::max()
                                                           : a + b;
}

Spent plus(const Spent& a, const Spent& b) {
  return {.tokens = plus(a.tokens, b.tokens), .cost = plus(a.cost, b.cost)};
}

Spent smaller(const Spent& a, const Spent& b) {
  return {.tokens = std::min(a.tokens, b.tokens), .cost = std::min(a.cost, b.cost)};
}

bool is_within(const Spent& part, const Spent& whole) {
  return part.tokens <= whole.tokens && part.cost <= whole.cost;
}

/// What a budget allows; what it does not bound is any amount.
Spent whole(const BudgetConfig& budget) {
  constexpr std::uint64_t kAny = std::numeric_limits<std::uint64_t>::max();
  return {.tokens = budget.tokens > 0 ? budget.tokens : kAny,
          .cost = budget.cost > 0 ? budget.most_cost() : kAny};
}

/// What `most` has beyond `taken`.
Spent minus(const Spent& most, const Spent& taken) {
  return {.tokens = most.tokens - std::min(most.tokens, taken.tokens),
          .cost = most.cost - std::min(most.cost, taken.cost)};
}

std::string amount(const Spent& of, bool of_tokens) {
  return of_tokens ? fmt::format("{} tokens", of.tokens) : fmt::format("a cost of {}", decimal(of.cost));
}

std::chrono::seconds until(Day end, WallTime now) {
  return std::chrono::ceil<std::chrono::seconds>(end - now);
}

Error exhausted_budget(std::string message, std::chrono::seconds retry_after) {
  return Error{.code = ErrorCode::kResourceExhausted,
               .retry = Retry::kLater,
               .message = std::move(message),
               .reason = "budget_exhausted",
               .retry_after = retry_after};
}

}  // namespace

/// A call's parts of one or two budgets.
class BudgetCheck::BudgetPermit final : public Permit {
 public:
  BudgetPermit(BudgetCheck& check, std::shared_ptr<const PriceTable> prices, std::string_view model)
      : check_(check), prices_(std::move(prices)), model_(model) {
    shares_.reserve(2);
  }
  ~BudgetPermit() override { closed(); }

  /// Begins a part of a budget, with nothing reserved yet. Under the check's mutex.
  Share& add(Owners owners, std::string_view name, const BudgetConfig& budget) {
    const auto reserved = check_.of(owners).try_emplace(std::string(name)).first;
    ++reserved->second.calls;
    return shares_.emplace_back(owners, budget, reserved, Spent());  // there is room: nothing can leak
  }
  /// Under the check's mutex.
  void give_back() {
    for (Share& share : shares_) {
      check_.set(share, {});
      if (--share.reserved->second.calls == 0) check_.of(share.owners).erase(share.reserved);
    }
    shares_.clear();
  }

  void served_by(std::string_view model) override { model_ = model; }
  Result<void> watch(const Usage& used) override {
    const Spent now = spent(used);
    if (std::ranges::all_of(shares_, [&](const Share& share) { return is_within(now, share.amount); }))
      return {};
    Usage further = used;
    further.completion_tokens = to_count(std::uint64_t{used.completion_tokens} + kStepTokens);
    const Spent wanted = spent(further);
    const std::lock_guard lock(check_.mutex_);
    for (Share& share : shares_) {
      if (auto grown = check_.grow(share, now, wanted); !grown) return grown;
    }
    return {};
  }
  /// The reservation stays until the totals have the same.
  void settle(const Usage& used) override {
    const Spent all = spent(used);
    const std::lock_guard lock(check_.mutex_);
    for (Share& share : shares_) check_.set(share, all);
  }
  void closed() override {
    const std::lock_guard lock(check_.mutex_);
    give_back();
  }

 private:
  Spent spent(const Usage& used) const {
    return {.tokens = std::uint64_t{used.prompt_tokens} + used.completion_tokens,
            .cost = prices_->cost(model_, used)};
  }

  BudgetCheck& check_;
  const std::shared_ptr<const PriceTable> prices_;
  std::string model_;          // that answers
  std::vector<Share> shares_;  // empty: given back
};

BudgetCheck::BudgetCheck(const UsageTotals& totals, WallClock now)
    : totals_(totals),
      now_(std::move(now)),
      budgets_(std::make_shared<const Budgets>()),
      prices_(std::make_shared<const PriceTable>()) {}

Task<Result<std::unique_ptr<Permit>>> BudgetCheck::admit(const AdmissionFacts& facts) {
  const Caller* const caller = facts.context.caller.get();
  if (facts.request == nullptr || caller == nullptr) co_return nullptr;
  const std::shared_ptr<const Budgets> budgets = budgets_.get();
  const auto of_key = budgets->keys.find(caller->key);
  const auto of_tenant = budgets->tenants.find(caller->tenant);
  if (of_key == budgets->keys.end() && of_tenant == budgets->tenants.end()) co_return nullptr;

  auto prices = prices_.get();
  const TokenEstimate& estimate = facts.tokens;
  const auto demand = [&](std::uint64_t completion) {
    const Usage used{.prompt_tokens = to_count(estimate.prompt), .completion_tokens = to_count(completion)};
    return Spent{.tokens = plus(estimate.prompt, completion), .cost = prices->cost(facts.model, used)};
  };
  const Spent least = demand(std::min<std::uint64_t>(estimate.completion(), 1)),
              most = demand(estimate.completion());

  // It gives back what it has also when memory runs out below; that is after the lock has been left.
  auto permit = std::make_unique<BudgetPermit>(*this, prices, facts.model);
  const std::lock_guard lock(mutex_);
  const auto add = [&](Owners owners, const std::string& name, const BudgetConfig& budget) -> Result<void> {
    Share& share = permit->add(owners, name, budget);
    auto granted = grant(share, least, most);
    if (!granted) return fail(std::move(granted).error());
    set(share, *granted);
    return {};
  };
  Result<void> added;
  if (of_key != budgets->keys.end()) added = add(Owners::kKeys, caller->key, of_key->second);
  if (added && of_tenant != budgets->tenants.end())
    added = add(Owners::kTenants, caller->tenant, of_tenant->second);
  if (added) co_return std::move(permit);
  permit->give_back();
  co_return fail(std::move(added).error());
}

BudgetCheck::Rest BudgetCheck::rest(const Share& share) const {
  const WallTime now = now_();
  const auto [begin, end] = share.budget.days(day_of(now));
  const Day last = end - std::chrono::days(1);
  const std::string& name = share.reserved->first;
  return {.used = share.owners == Owners::kKeys ? totals_.spent_by_key(name, begin, last)
                                                : totals_.spent_by_tenant(name, begin, last),
          .reserved = minus(share.reserved->second.amount, share.amount),
          .end = end,
          .now = now};
}

/// What a new call reserves.
Result<Spent> BudgetCheck::grant(const Share& share, const Spent& least, const Spent& most) const {
  const Rest there = rest(share);
  const Spent all = whole(share.budget);
  // Also for a call that costs nothing.
  if (there.used.tokens >= all.tokens) return fail(used_up(share, there, true));
  if (there.used.cost >= all.cost) return fail(used_up(share, there, false));
  const Spent& asked = share.budget.hard ? least : most;
  const Spent taken = plus(there.used, there.reserved);
  if (is_within(plus(taken, asked), all)) return smaller(most, minus(all, taken));
  if (!is_within(asked, all)) return fail(too_large(share, asked, asked.tokens > all.tokens));
  return fail(too_little_left(share, there, asked, plus(taken, asked).tokens > all.tokens));
}

/// A call goes on beyond what it has reserved.
Result<void> BudgetCheck::grow(Share& share, const Spent& used, const Spent& wanted) const {
  if (is_within(used, share.amount)) return {};
  const Rest there = rest(share);
  const Spent all = whole(share.budget), left = minus(all, plus(there.used, there.reserved));
  if (share.budget.hard && !is_within(used, left)) {
    const Spent ended = plus(there.used, used);  // when this call has ended
    if (ended.tokens < all.tokens && ended.cost < all.cost) return fail(held_by_others(share));
    return fail(used_up(share, there, ended.tokens >= all.tokens));
  }
  set(share, share.budget.hard ? smaller(wanted, left) : wanted);
  return {};
}

void BudgetCheck::set(Share& share, const Spent& amount) const {
  Spent& reserved = share.reserved->second.amount;
  reserved = plus(minus(reserved, share.amount), amount);
  share.amount = amount;
}

/// "the key "mobile"".
std::string BudgetCheck::described(const Share& share) {
  return fmt::format("the {} \"{}\"", share.owners == Owners::kKeys ? "key" : "tenant",
                     share.reserved->first);
}

Error BudgetCheck::used_up(const Share& share, const Rest& rest, bool of_tokens) {
  return exhausted_budget(
      fmt::format("{} has used up its budget of {} a {}; it begins anew on {} UTC", described(share),
                  amount(whole(share.budget), of_tokens),
                  share.budget.per == BudgetPeriod::kDay ? "day" : "month", to_string(rest.end)),
      until(rest.end, rest.now));
}

Error BudgetCheck::held_by_others(const Share& share) {
  return exhausted_budget(
      fmt::format(
          "this answer has used what {} has left of its budget until calls of it that run have ended; "
          "try again then",
          described(share)),
      std::chrono::seconds(1));
}

Error BudgetCheck::too_large(const Share& share, const Spent& asked, bool of_tokens) {
  return invalid_field(
      "max_tokens",
      fmt::format("this call may use {}, more than the whole budget of {}, {}; ask for fewer "
                  "tokens (max_tokens), or shorten the prompt",
                  amount(asked, of_tokens), described(share), amount(whole(share.budget), of_tokens)),
      "budget_too_small");
}

Error BudgetCheck::too_little_left(const Share& share, const Rest& rest, const Spent& asked, bool of_tokens) {
  const Spent left = minus(whole(share.budget), rest.used);
  // What calls that run do not use comes back when they end.
  const bool may_fit_soon = is_within(asked, left);
  const std::string now_left = amount(minus(left, rest.reserved), of_tokens);
  if (may_fit_soon)
    return exhausted_budget(
        fmt::format(
            "this call may use {}, and {} has {} left until calls of it that run have ended; try again "
            "then, or ask for fewer tokens (max_tokens)",
            amount(asked, of_tokens), described(share), now_left),
        std::chrono::seconds(1));
  return exhausted_budget(
      fmt::format(
          "this call may use {}, and {} has {} left of its budget; ask for fewer tokens (max_tokens), or "
          "wait until it begins anew on {} UTC",
          amount(asked, of_tokens), described(share), now_left, to_string(rest.end)),
      until(rest.end, rest.now));
}

}  // namespace autoglm::gateway
