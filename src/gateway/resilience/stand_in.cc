#include "gateway/resilience/stand_in.h"

#include <utility>

namespace autoglm::gateway {

namespace {

class FallbackStream final : public EventStream {
 public:
  FallbackStream(std::shared_ptr<Endpoint> endpoint, std::unique_ptr<EventStream> inner, StreamOrigin origin)
      : endpoint_(std::move(endpoint)), inner_(std::move(inner)), origin_(std::move(origin)) {}
  Task<Result<EventBatch>> next() override { return inner_->next(); }
  const StreamOrigin* origin() const override { return &origin_; }

 private:
  std::shared_ptr<Endpoint> endpoint_;
  std::unique_ptr<EventStream> inner_;
  StreamOrigin origin_;
};

class StaticStream final : public EventStream {
 public:
  StaticStream(std::string text, std::uint32_t choices) : text_(std::move(text)), choices_(choices) {}
  Task<Result<EventBatch>> next() override {
    if (std::exchange(said_, true)) co_return fail(stream_is_over());
    EventBatch batch;
    for (std::uint32_t choice = 0; choice < choices_; ++choice)
      batch.events.push_back({.choice = choice, .text = text_, .finish = FinishReason::kStop});
    batch.usage = Usage{};
    co_return batch;
  }
  const StreamOrigin* origin() const override { return &origin_; }

 private:
  std::string text_;
  std::uint32_t choices_;
  bool said_ = false;
  StreamOrigin origin_{.endpoint = "static", .attempts = 0, .fallback = "static"};
};

}  // namespace

std::unique_ptr<EventStream> fallback_answer(const std::string& name, std::shared_ptr<Endpoint> endpoint,
                                             std::unique_ptr<EventStream> inner) {
  StreamOrigin origin{.endpoint = name, .attempts = 1, .fallback = name};
  if (const StreamOrigin* inner_origin = inner->origin()) {
    origin.endpoint = inner_origin->endpoint;
    origin.answer = inner_origin->answer;
    if (!inner_origin->fallback.empty()) origin.fallback = inner_origin->fallback;
    if (inner_origin->attempts == 0) origin.attempts = 0;  // its configured text: nobody has worked
  }
  return std::make_unique<FallbackStream>(std::move(endpoint), std::move(inner), std::move(origin));
}

std::unique_ptr<EventStream> static_answer(std::string text, std::uint32_t choices) {
  return std::make_unique<StaticStream>(std::move(text), choices);
}

}  // namespace autoglm::gateway
