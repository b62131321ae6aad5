#pragma once

#include "base/error.h"
#include "gateway/resilience/circuit_breaker.h"
#include "gateway/resilience/endpoint_set.h"
#include "runtime/deadline.h"

#include <cstddef>
#include <cstdint>
#include <utility>

namespace autoglm::gateway {

class Dispatch;

/// An endpoint that a request asks, from the asking to the last event of its answer: a place among its
/// requests, and the one verdict that this ends in, whatever destroys it. Failures are told to the breaker,
/// the ejection, the metrics and the log. Belongs to a loop; its Dispatch outlives it.
///
/// | what has happened before it is destroyed | verdict |
/// |---|---|
/// | `fails` | what the error says: the endpoint's failure, or its refusal, or neither |
/// | a `Wait` ended when the answer was due | the endpoint's failure, a timeout |
/// | `answers` | it went well, as far as anybody wanted to hear it |
/// | nothing: whoever asked has left | none |
class Ask {
 public:
  Ask(Dispatch& dispatch, std::size_t member, CircuitBreaker::Attempt attempt, EndpointSet::Place place,
      MonotonicTime now);
  Ask(Ask&& other) noexcept;
  Ask& operator=(Ask&& other) noexcept;
  ~Ask();

  std::size_t member() const { return member_; }
  MonotonicTime began() const { return began_; }

  /// Its first events came. A success, which a failure behind it takes back: a stream that breaks is one
  /// failure, and no success.
  void answers(MonotonicTime now);
  void fails(const Error& error, MonotonicTime now);

  /// A wait for what the endpoint says next. When it ends without that at `due` or later, the endpoint was
  /// silent for too long, whoever ends it: the timer of this wait, or of another one around it. The Ask stays
  /// where it is meanwhile.
  class [[nodiscard]] Wait {
   public:
    Wait(Ask& ask, Deadline due) : ask_(ask), due_(due) {}
    ~Wait();
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;
    /// Something came, or an error.
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
  std::size_t member_;
  CircuitBreaker::Attempt attempt_;
  EndpointSet::Place place_;
  MonotonicTime began_;
  std::uint32_t number_;  // of its request's, for the log
  bool answers_ = false;
  cluster::EndpointHealth::Failures before_;  // that its success has ended
};

}  // namespace autoglm::gateway
