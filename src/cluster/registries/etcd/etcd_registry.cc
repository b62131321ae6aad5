#include "cluster/registries/etcd/etcd_registry.h"

#include "cluster/registries/retry_delay.h"
#include "runtime/event_loop.h"

#include <string_view>
#include <utility>

namespace autoglm::cluster {

namespace {

constexpr std::size_t kLongestLine = RegistryClient::kLargestAnswer;
// A watch may be silent for ever. After so long all is read again, which also finds a server that is frozen.
constexpr Duration kLongestSilence = std::chrono::seconds(10);

}  // namespace

Result<std::unique_ptr<Registry>> EtcdRegistry::create(const EtcdConfig& config, http::Client& client) {
  auto made = EtcdSession::create(config.connection, client);
  if (!made) return fail(std::move(made).error());
  return std::unique_ptr<Registry>(new EtcdRegistry(config, std::move(*made)));
}

Task<Result<EtcdRange>> EtcdRegistry::read_all() {
  auto body = co_await session_->call("/v3/kv/range", etcd_range_body(config_.prefix));
  if (!body) co_return fail(std::move(body).error());
  co_return read_etcd_range(*body);
}

void EtcdRegistry::tell(RegistrySink& sink) const {
  std::vector<Instance> instances;
  for (const auto& [key, value] : values_)
    if (auto instance = read_etcd_instance(value)) instances.push_back(std::move(*instance));
  sink.push(std::move(instances));
}

/// Reads all, and follows a watch until it ends. Errors: why it ended before its time.
Task<Result<void>> EtcdRegistry::follow(RegistrySink& sink) {
  auto all = co_await read_all();
  if (!all) co_return fail(std::move(all).error());
  values_.clear();
  for (EtcdValue& each : all->values) values_.emplace(std::move(each.key), std::move(*each.value));
  tell(sink);
  auto watch = co_await session_->client().listen(
      "/v3/watch", etcd_watch_body(config_.prefix, all->revision + 1), kLongestSilence);
  if (!watch) co_return fail(std::move(watch).error());
  std::string buffer;
  while (true) {
    auto count = co_await (*watch)->read(buffer);
    if (!count && count.error().code == ErrorCode::kDeadlineExceeded) co_return Result<void>();
    if (!count) co_return fail(std::move(count).error());
    bool changed = false;
    std::size_t begin = 0;
    for (std::size_t end = 0; (end = buffer.find('\n', begin)) != std::string::npos; begin = end + 1) {
      auto events = read_etcd_events(std::string_view(buffer).substr(begin, end - begin));
      if (!events) co_return fail(std::move(events).error());
      if (events->canceled) {
        co_return fail(ErrorCode::kUnavailable,
                       "etcd has ended the watch" + (events->reason.empty() ? "" : ": " + events->reason));
      }
      for (EtcdValue& each : events->changes) {
        changed = true;
        if (each.value) {
          values_[each.key] = std::move(*each.value);
        } else {
          values_.erase(each.key);
        }
      }
    }
    buffer.erase(0, begin);
    if (changed) tell(sink);
    if (*count == 0) co_return fail(ErrorCode::kUnavailable, "etcd has ended the watch");
    if (buffer.size() > kLongestLine)
      co_return fail(ErrorCode::kBadGateway, "a line of etcd's watch has no end");
  }
}

Task<void> EtcdRegistry::run(RegistrySink& sink) {
  Random random = Random::from_entropy();
  RetryDelay delay;
  while (true) {
    const Result<void> followed = co_await follow(sink);
    if (followed) {
      delay.reset();
      co_await yield_to_loop();
      continue;
    }
    sink.fail(followed.error());
    session_->log_out();  // the token may be what is wrong
    co_await sleep_for(delay.next(random));
  }
}

}  // namespace autoglm::cluster
