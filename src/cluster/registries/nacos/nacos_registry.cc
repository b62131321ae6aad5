#include "cluster/registries/nacos/nacos_registry.h"

#include "base/random.h"
#include "cluster/registries/retry_delay.h"
#include "runtime/event_loop.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

namespace autoglm::cluster {

namespace {

constexpr std::size_t kLongList = std::size_t{64} << 10U;  // takes milliseconds to read

}  // namespace

NacosRegistry::NacosRegistry(const NacosConfig& config, std::unique_ptr<NacosHttp> http, BlockingPool& pool)
    : config_(config), http_(std::move(http)), pool_(pool), name_("nacos " + config.service) {}

Result<std::unique_ptr<Registry>> NacosRegistry::create(const NacosConfig& config, http::Client& client,
                                                        BlockingPool& pool) {
  auto made = NacosHttp::create(config.access, client);
  if (!made) return fail(std::move(made).error());
  return std::unique_ptr<Registry>(new NacosRegistry(config, std::move(*made), pool));
}

Task<Result<NacosService>> NacosRegistry::read(std::string body) {
  if (body.size() < kLongList) co_return read_nacos_service(body);
  auto read =
      co_await pool_.run([body = std::move(body)] { return read_nacos_service(body); }, {.is_long = true});
  if (!read) co_return fail(std::move(read).error());
  co_return std::move(*read);
}

/// v1 says more (how long its answer is fresh, the protection threshold); a server that has none has v3.
Task<Result<NacosService>> NacosRegistry::ask() {
  const std::string clusters = fmt::format("{}", fmt::join(config_.clusters, ","));
  for (int tried = 0; tried < 2; ++tried) {
    const std::string asked = http_->address();
    // Without a name, v3 lists the cluster DEFAULT alone; with a list of none, all.
    const std::string query =
        nacos_form({{"serviceName", config_.service},
                    {"groupName", config_.group},
                    {"namespaceId", config_.access.name_space},
                    {v3_ ? "clusterName" : "clusters", v3_ && clusters.empty() ? "," : clusters},
                    {"healthyOnly", "false"}});
    auto answer = co_await http_->send(
        {.path = fmt::format("{}?{}", v3_ ? "/v3/client/ns/instance/list" : "/v1/ns/instance/list", query)});
    if (!answer) co_return fail(std::move(answer).error());
    if (answer->status == 200) co_return co_await read(std::move(answer->body));
    if (answer->status != 404 && answer->status != 410 && answer->status != 501)
      co_return fail(registry_refused(asked, *answer));
    v3_ = !v3_;
  }
  co_return fail(ErrorCode::kUnavailable, fmt::format("{} is no Nacos", http_->address()));
}

void NacosRegistry::tell(RegistrySink& sink, std::vector<Instance> instances) {
  if (last_ == instances) return;
  last_ = instances;
  sink.push(std::move(instances));
}

/// Asks again and again. Errors: the first failure.
Task<Result<void>> NacosRegistry::poll(RegistrySink& sink, Deadline until) {
  while (!until.passed(loop_time())) {
    auto service = co_await ask();
    if (!service) co_return fail(std::move(service).error());
    tell(sink, std::move(service->instances));
    co_await sleep_for(config_.interval > Duration::zero() ? config_.interval : service->fresh_for);
  }
  co_return Result<void>();
}

Task<void> NacosRegistry::run(RegistrySink& sink) {
  Random random = Random::from_entropy();
  RetryDelay delay;
  while (true) {
    auto followed = co_await poll(sink, Deadline::never());
    if (last_) delay.reset();
    if (followed) continue;
    sink.fail(followed.error());
    last_.reset();
    co_await sleep_for(delay.next(random));
  }
}

}  // namespace autoglm::cluster
