#include "cluster/registries/nacos/nacos_registry.h"

#include "base/json_string.h"
#include "base/random.h"
#include "base/redact.h"
#include "cluster/registries/retry_delay.h"
#include "runtime/event_loop.h"
#include "runtime/race.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

namespace autoglm::cluster {

namespace {

constexpr std::size_t kLongList = std::size_t{64} << 10U;  // takes milliseconds to read

}  // namespace

NacosRegistry::NacosRegistry(const NacosConfig& config, std::unique_ptr<NacosChannel> nacos,
                             BlockingPool& pool)
    : config_(config), nacos_(std::move(nacos)), pool_(pool), name_("nacos " + config.service) {}

Result<std::unique_ptr<Registry>> NacosRegistry::create(const NacosConfig& config, http::Client& client,
                                                        BlockingPool& pool) {
  auto made = NacosChannel::create(config.access, "naming", client, pool);
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
    const std::string asked = nacos_->http().address();
    // Without a name, v3 lists the cluster DEFAULT alone; with a list of none, all.
    const std::string query =
        nacos_form({{"serviceName", config_.service},
                    {"groupName", config_.group},
                    {"namespaceId", config_.access.name_space},
                    {v3_ ? "clusterName" : "clusters", v3_ && clusters.empty() ? "," : clusters},
                    {"healthyOnly", "false"}});
    auto answer = co_await nacos_->http().send(
        {.path = fmt::format("{}?{}", v3_ ? "/v3/client/ns/instance/list" : "/v1/ns/instance/list", query)});
    if (!answer) co_return fail(std::move(answer).error());
    if (answer->status == 200) co_return co_await read(std::move(answer->body));
    if (answer->status != 404 && answer->status != 410 && answer->status != 501)
      co_return fail(registry_refused(asked, *answer));
    v3_ = !v3_;
  }
  co_return fail(ErrorCode::kUnavailable,
                 fmt::format("{} is no Nacos", without_secrets(nacos_->http().address())));
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

/// Subscribes, and hears what is pushed. Errors: why the connection has ended.
Task<Result<void>> NacosRegistry::follow(RegistrySink& sink) {
  auto connection = co_await nacos_->connect();
  if (!connection) co_return fail(std::move(connection).error());
  const std::string subscription = fmt::format(
      R"({{"namespace":{},"serviceName":{},"groupName":{},"clusters":{},"subscribe":true}})",
      json_string(config_.access.name_space), json_string(config_.service), json_string(config_.group),
      json_string(fmt::format("{}", fmt::join(config_.clusters, ","))));
  while (true) {
    auto list = co_await nacos_->ask(**connection, {.type = "SubscribeServiceRequest", .body = subscription});
    if (!list) co_return fail(std::move(list).error());
    auto service = co_await read(std::move(*list));
    if (!service) co_return fail(std::move(service).error());
    tell(sink, std::move(service->instances));
    std::int64_t newest = service->made_at;
    const Deadline again =
        Deadline::after(config_.interval > Duration::zero() ? config_.interval : service->fresh_for);
    while (true) {
      auto pushed = co_await with_deadline(again, nacos_->next(**connection), "a push of Nacos");
      if (!pushed && pushed.error().code == ErrorCode::kDeadlineExceeded && !(*connection)->over()) break;
      if (!pushed) co_return fail(std::move(pushed).error());
      if (pushed->type != "NotifySubscriberRequest") continue;
      service = co_await read(std::move(pushed->body));
      if (!service) co_return fail(std::move(service).error());
      if (service->made_at < newest) continue;  // the answer has overtaken it
      newest = service->made_at;
      tell(sink, std::move(service->instances));
    }
  }
}

Task<void> NacosRegistry::run(RegistrySink& sink) {
  Random random = Random::from_entropy();
  RetryDelay delay;
  while (true) {
    Result<void> followed = fail(Error{});
    if (nacos_->way() == NacosChannel::Way::kGrpc) {
      followed = co_await follow(sink);
      if (!followed && nacos_->falls_back(followed.error())) continue;
    } else {
      followed = co_await poll(sink, nacos_->http_until());
    }
    if (last_) delay.reset();
    if (followed) continue;
    nacos_->prefer_grpc();
    sink.fail(followed.error());
    last_.reset();
    co_await sleep_for(delay.next(random));
  }
}

}  // namespace autoglm::cluster
