#pragma once

#include "gateway/resilience/model_pool.h"

#include <memory>
#include <optional>
#include <vector>

namespace autoglm::gateway {

/// An answer that outlives the endpoint it comes from: when that one breaks off, another that can goes on
/// behind the last token that was sent. Belongs to a loop.
class PooledStream final : public EventStream {
 public:
  PooledStream(ModelPool& pool, InferenceRequestPtr request, CallContext context,
               ModelPool::Attempts attempts, RetryBudget::Token active, ModelPool::Opened opened);

  Task<Result<EventBatch>> next() override;
  const StreamOrigin* origin() const override { return &origin_; }

 private:
  void adopt(ModelPool::Opened opened);
  Task<Result<void>> reopen();
  void note(EventBatch& batch);
  bool can_resume() const;

  ModelPool& pool_;
  InferenceRequestPtr request_;
  CallContext context_;
  ModelPool::Attempts attempts_;
  RetryBudget::Token active_;
  std::size_t member_ = 0;
  InFlight in_flight_;
  std::unique_ptr<EventStream> inner_;  // null: broke off
  std::optional<EventBatch> first_;
  std::optional<Error> broken_;  // why
  Deadline idle_;
  StreamOrigin origin_;
  bool resumed_ = false;
  std::vector<std::vector<TokenId>> tokens_;  // of each choice, sent so far
};

}  // namespace autoglm::gateway
