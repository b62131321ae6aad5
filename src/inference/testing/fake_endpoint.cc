#include "inference/testing/fake_endpoint.h"

#include "runtime/event_loop.h"

#include <utility>

namespace autoglm {

class FakeEndpoint::Stream final : public EventStream {
 public:
  explicit Stream(FakeEndpoint& owner) : owner_(owner) { ++owner_.open_streams; }
  ~Stream() override {
    --owner_.open_streams;
    if (!ended_) ++owner_.cancelled_streams;
  }

  Task<Result<EventBatch>> next() override {
    if (ended_) co_return fail(stream_is_over());
    co_await yield_to_loop();
    if (position_ < owner_.words.size()) {
      const auto index = static_cast<std::uint32_t>(position_);
      EventBatch batch;
      batch.events.push_back(
          {.index = index, .tokens = {static_cast<TokenId>(index)}, .text = owner_.words[position_++]});
      co_return batch;
    }
    if (owner_.hang_after_words) co_await sleep_for(std::chrono::hours(1));
    ended_ = true;
    if (owner_.fail_after_words) co_return fail(*owner_.fail_after_words);
    EventBatch last;
    last.events.push_back({.index = static_cast<std::uint32_t>(position_), .finish = FinishReason::kStop});
    last.usage = Usage{.prompt_tokens = 3, .completion_tokens = static_cast<std::uint32_t>(position_)};
    co_return last;
  }

 private:
  FakeEndpoint& owner_;
  std::size_t position_ = 0;
  bool ended_ = false;
};

Task<Result<std::unique_ptr<EventStream>>> FakeEndpoint::generate(InferenceRequestPtr request,
                                                                  const CallContext& context) {
  {
    const std::lock_guard lock(mutex_);
    tenants.push_back(context.tenant);
    requests.push_back(std::move(request));
  }
  co_await yield_to_loop();
  if (refuse_with) co_return fail(*refuse_with);
  co_return std::make_unique<Stream>(*this);
}

Task<Result<UnaryAnswer>> FakeEndpoint::call(UnaryRequest request, const CallContext& /*context*/) {
  if (hang_calls) co_await sleep_for(std::chrono::hours(1));
  if (std::holds_alternative<TokenizeRequest>(request))
    co_return TokenizeResult{.tokens = {1, 2, 3}, .context_length = card_.context_length};
  if (const auto* tokens = std::get_if<DetokenizeRequest>(&request))
    co_return DetokenizeResult{std::string(tokens->tokens.size(), 'x')};
  co_return fail(Error{.code = ErrorCode::kUnimplemented, .message = "a fake has no tokenizer to describe"});
}

}  // namespace autoglm
