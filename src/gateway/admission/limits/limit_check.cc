#include "gateway/admission/limits/limit_check.h"

#include "base/sha256.h"
#include "gateway/admission/limits/rate_headers.h"
#include "runtime/event_loop.h"
#include "runtime/race.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <utility>

namespace autoglm::gateway {

namespace {

std::string_view unit_of(const LimitConfig& limit) { return limit.counts_tokens() ? "tokens" : "requests"; }

/// What a client can do about a call that is too large.
std::string_view remedy(const LimitConfig& limit) {
  return limit.counts_tokens() ? "; ask for fewer (max_tokens), or shorten the prompt" : "";
}

std::chrono::seconds rounded_up(Duration time) {
  return std::max(std::chrono::ceil<std::chrono::seconds>(time), std::chrono::seconds(1));
}

Error exhausted(std::string message, std::chrono::seconds retry_after) {
  return Error{.code = ErrorCode::kResourceExhausted,
               .origin = Origin::kLocal,
               .retry = Retry::kLater,
               .message = std::move(message),
               .reason = "rate_limit_exceeded",
               .retry_after = retry_after};
}

std::string_view scope_name(LimitScope scope) {
  constexpr std::array<std::string_view, 5> kNames = {"key", "tenant", "group", "model", "global"};
  return kNames[static_cast<std::size_t>(scope)];
}

/// 128 bits of a SHA-256, in hexadecimal.
std::string digest_of(std::string_view text) { return sha256_hex(text).substr(0, 32); }

}  // namespace

/// What a call has taken from its limits. Takes that are not settled are given back.
class LimitCheck::LimitPermit final : public Permit {
 public:
  ~LimitPermit() override {
    if (!settled_) give_back();
  }

  void keep(std::shared_ptr<const Limit> limit, std::string subject, const RateDecision& decision) {
    taken_.push_back({std::move(limit), std::move(subject), decision.reservation, decision.state});
  }
  void keep(ConcurrencyTable::Held held, std::shared_ptr<const Limit> limit) {
    held_.emplace_back(std::move(limit), std::move(held));
  }
  SharedHold& shared() {
    if (!shared_) shared_ = std::make_unique<SharedHold>();
    return *shared_;
  }
  bool is_shared() const { return shared_ != nullptr; }
  void keep_limit(std::shared_ptr<const Limit> limit) { shared_limits_.push_back(std::move(limit)); }
  const std::vector<std::shared_ptr<const Limit>>& shared_limits() const { return shared_limits_; }
  bool empty() const { return taken_.empty() && held_.empty() && !shared_; }

  void settle(const Usage& used) override {
    settled_ = true;
    const std::uint64_t tokens = std::uint64_t{used.prompt_tokens} + used.completion_tokens;
    for (const Taken& each : taken_) {
      if (each.limit->config.counts_tokens())
        each.limit->ledger->rates->settle(each.subject, each.reservation, tokens, now());
    }
    if (shared_) shared_->settle(tokens);
  }
  void closed() override { held_.clear(); }
  void report(RateReport& report) const override {
    for (const Taken& each : taken_)
      RateReport::tighten(each.limit->config.counts_tokens() ? report.tokens : report.requests, each.state);
    for (std::size_t i = 0; shared_ && i < shared_->size(); ++i) {
      RateReport::tighten(shared_->counts_tokens(i) ? report.tokens : report.requests,
                          shared_->decision(i).state);
    }
  }

 private:
  struct Taken {
    std::shared_ptr<const Limit> limit;
    std::string subject;
    Reservation reservation;
    RateState state;
  };
  static MonotonicTime now() { return std::chrono::steady_clock::now(); }
  void give_back() const {
    for (const Taken& each : taken_)
      each.limit->ledger->rates->settle(each.subject, each.reservation, 0, now());
  }

  std::vector<Taken> taken_;
  std::vector<std::pair<std::shared_ptr<const Limit>, ConcurrencyTable::Held>> held_;  // limits outlive them
  std::vector<std::shared_ptr<const Limit>> shared_limits_;  // in the order of what `shared_` holds
  std::unique_ptr<SharedHold> shared_;                       // null: nothing is shared
  bool settled_ = false;
};

bool LimitCheck::Limit::holds_for(const AdmissionFacts& facts) const {
  if (config.counts_tokens() && facts.request == nullptr) return false;
  const Caller* caller = facts.context.caller.get();
  const bool of_callers =
      config.per == LimitScope::kKey || config.per == LimitScope::kTenant || config.per == LimitScope::kGroup;
  if (caller == nullptr || !of_callers) return true;
  return caller->limits.empty() || std::ranges::find(caller->limits, config.name) != caller->limits.end();
}

std::string LimitCheck::Limit::subject_of(const AdmissionFacts& facts, std::uint64_t salt) const {
  const Caller* caller = facts.context.caller.get();
  // What a client shows that nobody vouches for is long, or a secret: a hash of it stands for it.
  const auto unknown = [&] {
    return fmt::format("{}{:016x}", kUnvouched,
                       std::hash<std::string>()(fmt::format("{:x}:{}", salt, facts.context.tenant)));
  };
  switch (config.per) {
    case LimitScope::kKey:
      return caller != nullptr ? caller->key : unknown();
    case LimitScope::kTenant:
      return caller != nullptr ? caller->tenant : unknown();
    case LimitScope::kGroup:
      return caller != nullptr ? caller->group : std::string();
    case LimitScope::kModel:
      return std::string(facts.model);
    case LimitScope::kGlobal:
      return {};
  }
  return {};
}

/// The same on all replicas. A hash stands for what nobody vouches for: no secret is stored anywhere.
std::string LimitCheck::Limit::shared_subject_of(const AdmissionFacts& facts) const {
  const bool of_callers = config.per == LimitScope::kKey || config.per == LimitScope::kTenant;
  if (of_callers && facts.context.caller == nullptr)
    return fmt::format("{}#{}", scope_name(config.per), digest_of(facts.context.tenant));
  return fmt::format("{}:{}", scope_name(config.per), subject_of(facts, 0));
}

std::uint64_t LimitCheck::Limit::amount_of(const AdmissionFacts& facts) const {
  if (!config.counts_tokens()) return 1;
  return std::max<std::uint64_t>(facts.tokens.total(config.assumed_output), 1);
}

/// "the limit "tokens" of the key "alice"". A key that nobody vouches for is a secret, and is not named.
std::string LimitCheck::Limit::described(const AdmissionFacts& facts) const {
  std::string text = fmt::format("the limit \"{}\"", config.name);
  if (config.per == LimitScope::kGlobal) return text + " of this server";
  if (config.per == LimitScope::kModel) return text + fmt::format(" of the model \"{}\"", facts.model);
  if (facts.context.caller == nullptr) return text + " of each client";
  return text + fmt::format(" of the {} \"{}\"", scope_name(config.per), subject_of(facts, 0));
}

Error LimitCheck::refusal(const Limit& limit, const AdmissionFacts& facts, std::uint64_t amount,
                          const RateDecision& decision) {
  const LimitConfig& config = limit.config;
  const std::string who = limit.described(facts);
  if (decision.verdict == Verdict::kNever) {
    return invalid_field(config.counts_tokens() ? "max_tokens" : "",
                         fmt::format("{} lets {} {} through at once, and this call may use {}{}", who,
                                     limit.spec.most_at_once(), unit_of(config), amount, remedy(config)),
                         "limit_too_small");
  }
  Error error = exhausted(
      fmt::format("{} lets {} {} through ({} are left, this call may use {}); try again in {:.3f} s{}", who,
                  config.rate(), unit_of(config), decision.state.remaining, amount,
                  to_seconds(decision.retry_after), remedy(config)),
      rounded_up(decision.retry_after));
  RateReport report;
  (config.counts_tokens() ? report.tokens : report.requests) = decision.state;
  auto said = std::make_shared<EndpointAnswer>();
  said->headers = rate_headers(report);
  said->headers.emplace_back(
      "retry-after-ms",
      fmt::format("{}", std::chrono::ceil<std::chrono::milliseconds>(decision.retry_after).count()));
  error.said = std::move(said);
  return error;
}

Error LimitCheck::refusal(const Limit& limit, const AdmissionFacts& facts, std::uint64_t amount,
                          const ConcurrencyTable::Answer& answer) {
  const LimitConfig& config = limit.config;
  const std::string who = limit.described(facts);
  if (answer.verdict == Verdict::kNever) {
    return invalid_field("max_tokens",
                         fmt::format("{} holds {} {} at a time, and this call may use {}{}", who,
                                     answer.limit, unit_of(config), amount, remedy(config)),
                         "limit_too_small");
  }
  return exhausted(fmt::format("{} holds {} {} at a time ({} are left); wait for an earlier call to end", who,
                               answer.limit, unit_of(config), answer.remaining),
                   std::chrono::seconds(1));
}

std::shared_ptr<LimitCheck::Ledger> LimitCheck::kept_ledger(const Limits* before, const LimitConfig& config) {
  if (before == nullptr) return nullptr;
  const auto kept = std::ranges::find_if(before->all, [&](const auto& each) {
    return each->config.name == config.name && each->config.per == config.per &&
           each->config.is_rate() == config.is_rate() &&
           each->config.counts_tokens() == config.counts_tokens();
  });
  return kept == before->all.end() ? nullptr : (*kept)->ledger;
}

void LimitCheck::apply(const std::vector<LimitConfig>& limits, MonotonicTime now,
                       std::shared_ptr<SharedLedger> ledger) {
  const auto before = limits_.get();
  auto after = std::make_shared<Limits>();
  for (const LimitConfig& config : limits) {
    auto limit = std::make_shared<Limit>();
    limit->config = config;
    if (config.is_rate()) limit->spec = *rate_of(config);
    limit->refused = &metrics_.counter("autoglm_limit_refused_total", "Calls that a limit has refused.",
                                       {{"limit", config.name}});
    limit->ledger = kept_ledger(before.get(), config);
    const RateSpec here = ledger ? share_of(limit->spec, ledger->replicas()) : limit->spec;
    const std::uint64_t most = std::max(config.concurrent, config.concurrent_tokens);
    if (!limit->ledger) {
      limit->ledger = std::make_shared<Ledger>();
      if (config.is_rate()) {
        limit->ledger->rates = std::make_shared<RateTable>(here, kMostSubjects, now);
      } else {
        limit->ledger->held = std::make_unique<ConcurrencyTable>(most);
      }
    } else if (config.is_rate()) {
      limit->ledger->rates->change(here, now);
    } else {
      limit->ledger->held->set_most(most);
    }
    if (ledger && config.is_rate()) {
      limit->shared =
          std::make_shared<const SharedLimit>(SharedLimit{.whole = limit->spec,
                                                          .spec = *SharedSpec::of(limit->spec),
                                                          .name = config.name,
                                                          .share = limit->ledger->rates,
                                                          .counts_tokens = config.counts_tokens()});
    }
    after->all.push_back(std::move(limit));
  }
  after->ledger = std::move(ledger);
  limits_.set(std::move(after));
}

void LimitCheck::for_each_rate(FunctionRef<void(const LimitConfig&, const RateSpec&, RateTable&)> see) const {
  const auto limits = limits_.get();
  if (!limits) return;
  for (const auto& limit : limits->all)
    if (limit->ledger->rates) see(limit->config, limit->spec, *limit->ledger->rates);
}

Task<std::optional<Error>> LimitCheck::ask_replicas(const Limits& limits, const AdmissionFacts& facts,
                                                    LimitPermit& permit, Duration& delay) {
  SharedHold& shared = permit.shared();
  if (!co_await shared.decide(*limits.ledger)) fallbacks_.add();
  for (std::size_t i = 0; i < shared.size(); ++i) {
    const Limit& limit = *permit.shared_limits()[i];
    const RateDecision decision = shared.decision(i);
    if (decision.verdict != Verdict::kAdmitted) {
      limit.refused->add();
      co_return refusal(limit, facts, limit.amount_of(facts), decision);
    }
    delay = std::max(delay, decision.delay);
  }
  co_return std::nullopt;
}

Task<Result<std::unique_ptr<Permit>>> LimitCheck::admit(const AdmissionFacts& facts) {
  const auto limits = limits_.get();
  if (!limits || limits->all.empty()) co_return nullptr;
  auto permit = std::make_unique<LimitPermit>();
  Duration delay{};
  for (const auto& limit : limits->all) {
    if (!limit->holds_for(facts)) continue;
    const std::uint64_t amount = limit->amount_of(facts);
    if (limit->shared) {
      if (amount > limit->spec.most_at_once()) {
        limit->refused->add();
        co_return fail(refusal(*limit, facts, amount, RateDecision{.verdict = Verdict::kNever}));
      }
      permit->shared().add(limit->shared, limit->shared_subject_of(facts), amount);
      permit->keep_limit(limit);
      continue;
    }
    std::string subject = limit->subject_of(facts, salt_);
    if (limit->config.is_rate()) {
      const RateDecision decision =
          limit->ledger->rates->take(subject, amount, std::chrono::steady_clock::now());
      if (decision.verdict != Verdict::kAdmitted) {
        limit->refused->add();
        co_return fail(refusal(*limit, facts, amount, decision));
      }
      delay = std::max(delay, decision.delay);
      permit->keep(limit, std::move(subject), decision);
    } else {
      auto answer = limit->ledger->held->acquire(subject, amount);
      if (answer.verdict != Verdict::kAdmitted) {
        limit->refused->add();
        co_return fail(refusal(*limit, facts, amount, answer));
      }
      permit->keep(std::move(answer.held), limit);
    }
  }
  if (permit->is_shared()) {
    if (auto refused = co_await ask_replicas(*limits, facts, *permit, delay))
      co_return fail(std::move(*refused));
  }
  if (delay > facts.context.deadline.remaining() && !facts.context.deadline.is_never()) {
    co_return fail(
        exhausted(fmt::format("the turn of this call comes in {:.3f} s, which is longer than it may take",
                              to_seconds(delay)),
                  rounded_up(delay)));
  }
  if (delay > Duration::zero()) co_await sleep_for(delay);
  if (permit->empty()) co_return nullptr;
  co_return permit;
}

}  // namespace autoglm::gateway
