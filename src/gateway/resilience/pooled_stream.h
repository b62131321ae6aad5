#pragma once

#include "gateway/protocol/openai/continuation.h"
#include "gateway/resilience/model_pool.h"
#include "runtime/scope.h"
#include "runtime/signal.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace autoglm::gateway {

/// What a stream has said, for servers that continue from text.
struct SaidText {
  std::string said;
  bool whole = true;         ///< `said` has all of it; else no server can continue from it
  std::uint32_t tokens = 0;  ///< approximately: events with text
  std::uint32_t offset = 0;  ///< of them before the last break
  bool continued = false;
  bool ended = false;  ///< its finish reason came; only the stream's own end is missing
  std::optional<protocol::openai::AnswerIdentity> identity;

  void forget() {
    whole = false;
    std::string().swap(said);
  }
};

/// An answer that outlives the endpoint it comes from: when that endpoint breaks off, another one continues
/// after the last token that was sent, or else after the last word. Belongs to a loop.
class PooledStream final : public EventStream {
 public:
  PooledStream(ModelPool& pool, InferenceRequestPtr request, CallContext context,
               std::unique_ptr<Dispatch> dispatch, Opened opened);

  Task<Result<EventBatch>> next() override;
  const StreamOrigin* origin() const override { return &origin_; }

 private:
  /// Asking another endpoint to continue. A task of its own, since the caller of `next` may give up a wait
  /// and begin another, as it does to send keep-alive comments in between.
  struct Reopening {
    std::optional<Result<void>> outcome;
    Signal ended;
    Scope scope;  // last: its task uses the above
  };
  void adopt(Opened opened);
  // Rare: inlined, their frames would be a part of every stream's.
  [[gnu::noinline]] Task<Result<void>> reopened();
  Task<Result<void>> reopen();
  InferenceRequestPtr remainder(Continuation from) const;
  void note(EventBatch& batch);
  void note_text(EventBatch& batch);
  // Rare beside passing.
  [[gnu::noinline]] void note_translated(EventBatch& batch);
  void bound_kept();
  bool has_all_text() const;
  EventBatch text_end() const;

  ModelPool& pool_;
  InferenceRequestPtr request_;
  CallContext context_;
  std::unique_ptr<Dispatch> dispatch_;
  std::optional<Ask> ask_;                    // until it has its verdict
  std::shared_ptr<const PoolMember> member_;  // whose stream `inner_` is; perhaps in no list any more
  std::unique_ptr<EventStream> inner_;        // null: broke off
  std::optional<EventBatch> first_;
  std::optional<Error> broken_;  // why
  Deadline idle_;
  StreamOrigin origin_;
  bool over_ = false;  // no further batch will come
  bool resumed_ = false;
  bool got_on_ = false;                       // something was said since inner_ was opened
  bool translated_ = false;                   // the client's codec writes what is sent
  std::vector<bool> ended_;                   // choices of a translated answer whose end was sent
  bool exact_ = true;                         // tokens_ has all that was sent
  std::vector<std::vector<TokenId>> tokens_;  // of each choice, sent so far; empty once not exact_
  std::size_t tokens_kept_ = 0;
  http::BodyMemory::Share memory_;        // for what is kept to resume from
  std::optional<SaidText> text_;          // set while the answer may be continued from text
  std::unique_ptr<Reopening> reopening_;  // last: it uses all of the above
};

}  // namespace autoglm::gateway
