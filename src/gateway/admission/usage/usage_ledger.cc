#include "gateway/admission/usage/usage_ledger.h"

#include "runtime/scope.h"
#include "runtime/signal.h"

#include <new>
#include <optional>
#include <string>
#include <string_view>

namespace autoglm::gateway {

namespace {

Error no_record(Error cause) {
  return caused_by({.code = ErrorCode::kUnavailable,
                    .retry = Retry::kLater,
                    .message = "this server cannot record usage at present; try again later",
                    .reason = "usage_unavailable"},
                   std::move(cause));
}

}  // namespace

/// `settle` is the same for every end of a call: `commit` follows at once when the answer is complete, and
/// else the destructor.
class UsageLedger::UsagePermit final : public Permit {
 public:
  UsagePermit(UsageLedger& ledger, UsageRecord record) : ledger_(ledger), record_(std::move(record)) {}

  ~UsagePermit() override {
    if (settled_ && !committed_) hand_over(UsageOutcome::kCut);
  }

  void served_by(std::string_view model) override {
    if (record_.asked.empty()) record_.asked = record_.model;
    record_.model = recorded_text(model);
  }
  void settle(const Usage& used) override {
    settled_ = true;
    record_.time = std::chrono::floor<std::chrono::milliseconds>(ledger_.options_.now());
    record_.prompt_tokens = used.prompt_tokens;
    record_.cached_tokens = used.cached_tokens;
    record_.completion_tokens = used.completion_tokens;
    record_.cost = ledger_.prices_.get()->cost(record_.model, used);
  }

  /// The record is handed over by the first call. Further ones wait for the same record.
  std::optional<Task<Result<void>>> commit() override {
    if (!settled_) return std::nullopt;
    if (!std::exchange(committed_, true)) {
      hand_over(UsageOutcome::kComplete);
      if (writing_.empty()) ended_.set();  // at once, or it is posted
    }
    if (ledger_.journal_ == nullptr) return std::nullopt;
    return written();
  }

 private:
  /// Without memory it does what it can: a record for which no task can wait is posted.
  void hand_over(UsageOutcome outcome) noexcept {
    record_.outcome = outcome;
    std::string payload;
    try {
      if (ledger_.journal_ != nullptr) payload = to_bytes(record_);
      ledger_.count(record_);
    } catch (const std::bad_alloc&) {
      ledger_.metrics_.count_unrecorded();
    }
    if (payload.empty()) return;
    try {
      if (outcome == UsageOutcome::kComplete) return writing_.spawn(write(payload));
    } catch (const std::bad_alloc&) {  // nothing has begun
    }
    ledger_.journal_->post({.kind = kUsageRecordKind, .payload = payload});
  }
  /// `payload` is used before the first suspension only.
  Task<void> write(std::string_view payload) {
    struct Ended {
      ~Ended() { signal.set(); }  // also after an exception: the client waits for it
      Signal& signal;
    } const ended{ended_};
    const journal::Record record{.kind = kUsageRecordKind, .payload = payload};
    std::optional<Task<Result<void>>> append;
    try {
      append.emplace(ledger_.journal_->append(record));
    } catch (const std::bad_alloc&) {  // then it has taken nothing
      ledger_.journal_->post(record);
      co_return;
    }
    auto result = co_await std::move(*append);
    if (!result) {
      ledger_.metrics_.count_unrecorded();
      result = fail(no_record(std::move(result).error()));
    }
    result_ = std::move(result);
  }
  Task<Result<void>> written() {
    co_await ended_.wait();
    if (result_) co_return *result_;
    co_return fail(
        no_record({.code = ErrorCode::kUnavailable, .message = "there is no memory for a record"}));
  }

  UsageLedger& ledger_;
  UsageRecord record_;
  bool settled_ = false;
  bool committed_ = false;
  std::optional<Result<void>> result_;  // nothing: it is not known, and memory has run out
  Signal ended_;
  Scope writing_;  // last: its task uses all of the above
};

UsageLedger::UsageLedger(Options options, UsageTotals& totals, journal::Journal* journal,
                         observe::MetricRegistry& registry)
    : options_(std::move(options)),
      totals_(totals),
      journal_(journal),
      metrics_(registry),
      prices_(std::make_shared<const PriceTable>()) {}

Task<Result<std::unique_ptr<Permit>>> UsageLedger::admit(const AdmissionFacts& facts) {
  if (facts.request == nullptr) co_return nullptr;
  if (journal_ != nullptr && options_.on_failure == journal::OnFailure::kRefuse) {
    if (auto healthy = journal_->healthy(); !healthy) co_return fail(no_record(std::move(healthy).error()));
  }
  UsageRecord record{.request_id = std::string(recorded_text(facts.request->id)),
                     .model = std::string(recorded_text(facts.model))};
  // Without a caller the context's tenant may be a secret that the client sent.
  if (const Caller* caller = facts.context.caller.get(); caller != nullptr) {
    record.key = recorded_text(caller->key);
    record.tenant = recorded_text(caller->tenant);
    record.group = recorded_text(caller->group);
  }
  co_return std::make_unique<UsagePermit>(*this, std::move(record));
}

void UsageLedger::count(const UsageRecord& record) {
  totals_.add(record);
  metrics_.add(record);
}

Result<UsageLedger::Restored> UsageLedger::restore(See see) {
  Restored restored;
  if (journal_ == nullptr) return restored;
  const auto replayed = journal_->replay([&](const journal::Record& record) {
    if (record.kind != kUsageRecordKind) return;
    const auto read = read_usage_record(record.payload);
    if (!read) {
      ++restored.unreadable;
      return;
    }
    ++restored.records;
    totals_.add(*read);
    see(*read, record.sequence);
  });
  if (!replayed) return fail(replayed.error());
  return restored;
}

}  // namespace autoglm::gateway
