#pragma once

#include "base/error.h"
#include "gateway/resilience/circuit_breaker.h"
#include "gateway/resilience/endpoint_set.h"
#include "runtime/deadline.h"

#include <cstdint>
#include <memory>
#include <utility>

namespace autoglm::gateway {

class Dispatch;

/// One attempt of a request at an endpoint, from the asking to the last event of the answer. Holds a place at
/// the endpoint, and ends in exactly one verdict, whatever destroys it. Failures are told to the breaker, the
/// ejection, the metrics and the log. Belongs to a loop; its Dispatch must outlive it.
///
/// | what has happened before it is destroyed | verdict |
/// |---|---|
/// | `fails` | what the error says: a failure or a refusal of the endpoint, or neither |
/// | a `Wait` ended when the answer was due | the endpoint's failure, a timeout |
/// | `answers` | success, as far as the client wanted the answer |
/// | nothing: the caller has left | abandoned, which says nothing of the endpoint |
class Ask {
 public:
  Ask(Dispatch& dispatch, const PoolMember& member, EndpointSet::Place place,
      CircuitBreaker::Permission permission, MonotonicTime now);
  Ask(Ask&& other) noexcept;
  Ask& operator=(Ask&& other) noexcept;
  ~Ask();

  const PoolMember& member() const { return *member_; }
  MemberId id() const { return member_->record->id; }
  /// Keeps the member alive after this.
  std::shared_ptr<const PoolMember> shared_member() const { return place_.keep(member_); }
  MonotonicTime began() const { return began_; }

  /// The first events arrived: a success, which a later failure takes back, since a stream that breaks is one
  /// failure and no success.
  void answers(MonotonicTime now);
  void fails(const Error& error, MonotonicTime now);

  /// A wait for the endpoint's next events. When it is destroyed at `due` or later without them, the endpoint
  /// was silent for too long, whichever timer ended the wait: its own, or one around it. The Ask must not
  /// move meanwhile.
  class [[nodiscard]] Wait {
   public:
    Wait(Ask& ask, Deadline due) : ask_(ask), due_(due) {}
    ~Wait();
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;
    /// Events or an error arrived.
    void over() { over_ = true; }

   private:
    Ask& ask_;
    Deadline due_;
    bool over_ = false;
  };

 private:
  friend class Dispatch;
  void judge(Outcome outcome, MonotonicTime now);
  void judge_at_the_end();

  Dispatch* dispatch_;  // null: judged, or moved from
  const PoolMember* member_;
  EndpointSet::Place place_;  // before the permission: it keeps the member's breaker alive
  CircuitBreaker::Permission permission_;
  MonotonicTime began_;
  std::uint32_t number_;  // among the request's attempts, for the log
  bool answers_ = false;
  cluster::EndpointHealth::Failures before_;  // failures that its success has ended
};

}  // namespace autoglm::gateway
