#include "gateway/resilience/ask.h"

#include "gateway/resilience/dispatcher.h"
#include "gateway/resilience/verdict.h"

namespace autoglm::gateway {

Ask::Ask(Dispatch& dispatch, const PoolMember& member, EndpointSet::Place place,
         CircuitBreaker::Permission permission, MonotonicTime now)
    : dispatch_(&dispatch),
      member_(&member),
      place_(std::move(place)),
      permission_(std::move(permission)),
      began_(now),
      number_(dispatch.attempts()) {}

Ask::Ask(Ask&& other) noexcept
    : dispatch_(std::exchange(other.dispatch_, nullptr)),
      member_(other.member_),
      place_(std::move(other.place_)),
      permission_(std::move(other.permission_)),
      began_(other.began_),
      number_(other.number_),
      answers_(other.answers_),
      before_(other.before_) {}

Ask& Ask::operator=(Ask&& other) noexcept {
  if (this == &other) return *this;
  judge_at_the_end();
  dispatch_ = std::exchange(other.dispatch_, nullptr);
  member_ = other.member_;
  place_ = std::move(other.place_);
  permission_ = std::move(other.permission_);
  began_ = other.began_;
  number_ = other.number_;
  answers_ = other.answers_;
  before_ = other.before_;
  return *this;
}

Ask::~Ask() { judge_at_the_end(); }

void Ask::judge_at_the_end() {
  if (dispatch_ != nullptr) judge(answers_ ? Outcome::kOk : Outcome::kAbandoned, began_);
}

Ask::Wait::~Wait() {
  if (over_ || due_.is_never() || ask_.dispatch_ == nullptr) return;
  const MonotonicTime now = ask_.dispatch_->now();
  if (due_.passed(now)) ask_.fails(too_silent(), now);
}

void Ask::answers(MonotonicTime now) {
  if (dispatch_ == nullptr || std::exchange(answers_, true)) return;
  permission_.success(now);
  before_ = member_->record->state.health.succeeded();
}

void Ask::fails(const Error& error, MonotonicTime now) {
  if (dispatch_ == nullptr) return;
  dispatch_->tell(*this, error);
  if (error.reason == "connect_failed") member_->record->state.health.nobody_there();
  judge(outcome_of(error), now);
}

void Ask::judge(Outcome outcome, MonotonicTime now) {
  Dispatch* dispatch = std::exchange(dispatch_, nullptr);
  member_->record->count(outcome);
  if (!is_failure(outcome)) return;
  permission_.failure(now);
  dispatch->endpoints().failed(*member_, dispatch->list(), before_, now);
}

}  // namespace autoglm::gateway
