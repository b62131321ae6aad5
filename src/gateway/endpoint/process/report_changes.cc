#include "gateway/endpoint/process/report_changes.h"

#include "gateway/endpoint/process/engine_report.h"
#include "runtime/event_loop.h"

#include <optional>
#include <utility>

namespace autoglm::gateway {

namespace {

constexpr Duration kWhileLoading = std::chrono::milliseconds(20);
constexpr Duration kWhileServing = std::chrono::milliseconds(100);

}  // namespace

Task<void> report_changes(const Endpoint& engine, HandoverListener& parent) {
  std::optional<EngineReport> told;
  while (true) {
    auto now = EngineReport::of(engine);
    const bool loading = now.status.state == EndpointStatus::State::kLoading;
    if ((!told || !now.same_as(*told)) && parent.tell(write_report(now))) {
      told = std::move(now);
      if (told->status.state == EndpointStatus::State::kFailed) co_return;
    }
    co_await sleep_for(loading ? kWhileLoading : kWhileServing);
  }
}

}  // namespace autoglm::gateway
