#include "gateway/admission/shared/redis_ledger.h"

#include <algorithm>
#include <utility>

namespace autoglm::gateway {

RedisLedger::RedisLedger(const redis::RedisConfig& config, const Dependencies& dependencies)
    : config_(config),
      workers_(dependencies.workers),
      log_(dependencies.log),
      metrics_(dependencies.metrics),
      of_loop_(dependencies.workers.size()),
      is_up_(dependencies.workers.size()) {}

Result<std::shared_ptr<RedisLedger>> RedisLedger::start(const redis::RedisConfig& config,
                                                        const Dependencies& dependencies) {
  auto options = config.options();
  if (!options) return fail(options.error());
  const std::shared_ptr<RedisLedger> ledger(new RedisLedger(config, dependencies));
  dependencies.workers.on_each([&](EventLoop& loop) {
    ledger->of_loop_[loop.index()] =
        std::make_shared<Connected>(dependencies.names, *options,
                                    [self = ledger.get(), index = loop.index()](
                                        bool is_up, std::string_view why) { self->note(index, is_up, why); });
  });
  return ledger;
}

void RedisLedger::stop() {
  workers_.on_each([this](EventLoop& loop) { of_loop_[loop.index()].reset(); });
  metrics_.up.set(0);
}

std::shared_ptr<SharedTake> RedisLedger::take(std::vector<SharedAsk> asks) {
  const EventLoop& loop = EventLoop::current();
  const bool is_ours = loop.index() < workers_.size() && &workers_.loop(loop.index()) == &loop;
  const auto connected = is_ours ? of_loop_[loop.index()] : nullptr;
  auto take = std::make_shared<RedisTake>(
      connected ? std::shared_ptr<redis::Client>(connected, &connected->client) : nullptr, metrics_,
      config_.timeout, config_.prefix, std::move(asks));
  take->begin();
  return take;
}

void RedisLedger::note(std::size_t loop, bool is_up, std::string_view why) {
  const std::lock_guard lock(mutex_);
  is_up_[loop] = is_up;
  const bool all = std::ranges::all_of(is_up_, [](const auto& each) { return each.value_or(false); });
  if (!all && std::ranges::none_of(is_up_, [](const auto& each) { return each == false; })) return;
  metrics_.up.set(all ? 1 : 0);
  if (std::exchange(said_up_, all) == all) return;
  if (all) {
    log_.info("limits are counted in Redis, together with other replicas");
  } else {
    log_.warning("Redis does not count the limits: this replica lets its share through",
                 {{"error", why}, {"replicas", config_.replicas}});
  }
}

}  // namespace autoglm::gateway
