// An admission check: each tenant has at most so many calls at a time.
#include "gateway/pipeline.h"
#include "inference/testing/fake_endpoint.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <map>
#include <mutex>

namespace autoglm::gateway {
namespace {

class TenantLimit final : public AdmissionCheck {
 public:
  explicit TenantLimit(int most) : most_(most) {}

  Task<Result<std::unique_ptr<Permit>>> admit(const AdmissionFacts& facts) override {
    const std::lock_guard lock(mutex_);
    int& calls = calls_[facts.context.tenant];
    if (calls == most_)
      co_return fail(Error{.code = ErrorCode::kResourceExhausted, .message = "wait for an earlier call to end"});
    ++calls;
    co_return std::make_unique<Place>(*this, facts.context.tenant);
  }

 private:
  struct Place final : Permit {
    Place(TenantLimit& limit, std::string name) : of(limit), tenant(std::move(name)) {}
    ~Place() override {
      const std::lock_guard lock(of.mutex_);
      --of.calls_[tenant];
    }
    TenantLimit& of;
    const std::string tenant;
  };

  const int most_;
  std::mutex mutex_;
  std::map<std::string, int> calls_;
};

TEST(Extending, AnAdmissionCheckHoldsAPlaceUntilTheStreamEnds) {
  FakeEndpoint endpoint("m");
  const LiveDirectory models(
      1, std::make_shared<const ModelDirectory>(std::vector<ModelDirectory::Entry>{{"m", unowned(endpoint)}}));
  Pipeline::Checks checks;
  checks.push_back(std::make_unique<TenantLimit>(1));
  const Pipeline pipeline(models, std::move(checks));
  EventLoop loop;
  const auto ask = [&] { return run_task(loop, pipeline.generate(std::make_unique<InferenceRequest>(), {})); };
  auto first = ask();
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(ask().error().code, ErrorCode::kResourceExhausted);
  first->events.reset();
  EXPECT_TRUE(ask().has_value());
}

}  // namespace
}  // namespace autoglm::gateway
