#include "gateway/admission/usage/usage_ledger.h"

#include "runtime/scope.h"
#include "runtime/signal.h"

#include <new>
#include <optional>
#include <string>

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
    if (!settled_ || committed_) return;
    try {
      ledger_.count(record_);
      if (ledger_.journal_ != nullptr)
        ledger_.journal_->post({.kind = kUsageRecordKind, .payload = to_bytes(record_)});
    } catch (const std::bad_alloc&) {
      ledger_.metrics_.count_unrecorded();
    }
  }

  void served_by(std::string_view model) override { record_.model = recorded_text(model); }
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
      record_.outcome = UsageOutcome::kComplete;
      ledger_.count(record_);
      if (ledger_.journal_ != nullptr) {
        const std::string payload = to_bytes(record_);
        writing_.spawn(write(ledger_.journal_->append({.kind = kUsageRecordKind, .payload = payload})));
      }
    }
    if (ledger_.journal_ == nullptr) return std::nullopt;
    return written();
  }

 private:
  Task<void> write(Task<Result<void>> append) {
    auto result = co_await std::move(append);
    if (!result) {
      ledger_.metrics_.count_unrecorded();
      result = fail(no_record(std::move(result).error()));
    }
    result_ = std::move(result);
    ended_.set();
  }
  Task<Result<void>> written() {
    co_await ended_.wait();
    co_return result_;
  }

  UsageLedger& ledger_;
  UsageRecord record_;
  bool settled_ = false;
  bool committed_ = false;
  Result<void> result_;
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
