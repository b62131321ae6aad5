#include "cluster/registries/etcd/etcd_watch.h"

#include "cluster/registries/retry_delay.h"
#include "runtime/event_loop.h"

#include <string_view>
#include <utility>

namespace autoglm::cluster {

namespace {

// A watch may be silent for ever. After so long all is read again, which also finds a server that is frozen.
constexpr Duration kLongestSilence = std::chrono::seconds(10);

}  // namespace

/// Takes the whole lines off `buffer`. Whether they change anything. Errors: the watch is over.
Result<bool> EtcdWatch::take(std::string& buffer) {
  bool changed = false;
  std::size_t begin = 0;
  for (std::size_t end = 0; (end = buffer.find('\n', begin)) != std::string::npos; begin = end + 1) {
    auto events = read_etcd_events(std::string_view(buffer).substr(begin, end - begin));
    if (!events) return fail(std::move(events).error());
    if (events->canceled) {
      return fail(ErrorCode::kUnavailable,
                  "etcd has ended the watch" + (events->reason.empty() ? "" : ": " + events->reason));
    }
    for (EtcdValue& each : events->changes) {
      changed = true;
      if (each.value) {
        values_[each.key] = std::move(each);
      } else {
        values_.erase(each.key);
      }
    }
  }
  buffer.erase(0, begin);
  return changed;
}

/// Reads all, and follows a watch until it ends. Errors: why it ended before its time.
Task<Result<void>> EtcdWatch::follow(const std::function<void(const Values&)>& tell) {
  const auto answer = co_await session_->call("/v3/kv/range", etcd_range_body(keys_));
  if (!answer) co_return fail(answer.error());
  auto all = read_etcd_range(*answer);
  if (!all) co_return fail(std::move(all).error());
  values_.clear();
  for (EtcdValue& each : all->values) values_.emplace(each.key, std::move(each));
  tell(values_);
  auto watch = co_await session_->client().listen("/v3/watch", etcd_watch_body(keys_, all->revision + 1),
                                                  kLongestSilence);
  if (!watch) co_return fail(std::move(watch).error());
  std::string buffer;
  while (true) {
    const auto count = co_await (*watch)->read(buffer);
    if (!count && count.error().code == ErrorCode::kDeadlineExceeded) co_return Result<void>();
    if (!count) co_return fail(count.error());
    const auto changed = take(buffer);
    if (!changed) co_return fail(changed.error());
    if (*changed) tell(values_);
    if (*count == 0) co_return fail(ErrorCode::kUnavailable, "etcd has ended the watch");
    if (buffer.size() > RegistryClient::kLargestAnswer)
      co_return fail(ErrorCode::kBadGateway, "a line of etcd's watch has no end");
  }
}

Task<void> EtcdWatch::run(std::function<void(const Values&)> tell, std::function<void(const Error&)> fails) {
  Random random = Random::from_entropy();
  RetryDelay delay;
  while (true) {
    const auto followed = co_await follow(tell);
    if (followed) {
      delay.reset();
      co_await yield_to_loop();
      continue;
    }
    fails(followed.error());
    session_->log_out();
    co_await sleep_for(delay.next(random));
  }
}

}  // namespace autoglm::cluster
