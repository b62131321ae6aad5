#include "gateway/admission/keys/live_key_store.h"

#include "base/utf8.h"
#include "gateway/admission/keys/expiry.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace autoglm::gateway {

namespace {

using Contents = LiveKeyStore::Contents;

constexpr std::size_t kWaitingChanges = 64;

std::shared_ptr<const KeyLayer> layer_of(const std::vector<StoredKey>& keys) {
  auto layer = std::make_shared<KeyLayer>();
  for (const StoredKey& each : keys) {
    if (each.revoked) continue;
    KeyLayer::Entry entry{.caller = caller_of(each.rights), .expires = std::nullopt};
    if (const auto moment = parse_moment(each.rights.expires)) entry.expires = *moment;
    layer->add(each.digest, entry);
    if (!each.previous) continue;
    entry.expires = std::min(entry.expires.value_or(WallTime::max()), each.previous->until);
    layer->add(each.previous->digest, std::move(entry));
  }
  return layer;
}

}  // namespace

Result<std::shared_ptr<const Contents>> LiveKeyStore::Desk::refresh() {
  const auto changed = store.changed();
  if (!changed) return fail(changed.error());
  if (!*changed && latest) return latest;
  auto keys = store.all();
  if (!keys) return fail(std::move(keys).error());
  auto contents = std::make_shared<Contents>();
  contents->layer = layer_of(*keys);
  contents->keys = std::move(*keys);
  contents->unreadable = store.unreadable();
  latest = std::move(contents);
  return latest;
}

Result<std::unique_ptr<LiveKeyStore>> LiveKeyStore::open(KeyStore::Options options,
                                                         observe::MetricRegistry& metrics,
                                                         observe::Logger& log, WallClock now) {
  std::string path = options.path;
  auto store = KeyStore::open(std::move(options));
  if (!store) return fail(std::move(store).error());
  auto desk = std::make_shared<Desk>(std::move(*store), nullptr);
  auto contents = desk->refresh();
  if (!contents) return fail(std::move(contents).error());
  std::unique_ptr<LiveKeyStore> live(
      new LiveKeyStore(std::move(path), std::move(desk), metrics, log, std::move(now)));
  live->contents_ = std::move(*contents);
  live->say_unreadable();
  return live;
}

LiveKeyStore::LiveKeyStore(std::string path, std::shared_ptr<Desk> desk, observe::MetricRegistry& metrics,
                           observe::Logger& log, WallClock now)
    : path_(std::move(path)),
      desk_(std::move(desk)),
      failures_(metrics.counter("autoglm_key_store_failures_total",
                                "How often the key store could not be read or written.")),
      up_(metrics.gauge("autoglm_key_store_up",
                        "1: the key store's file could be read when it was last looked at; 0: the keys of "
                        "before are in force.")),
      log_(log),
      now_(std::move(now)),
      pool_(1, kWaitingChanges) {
  up_.set(1);
}

template <class Value>
Task<Result<Value>> LiveKeyStore::apply(Operation<Value> operation) {
  struct Outcome {
    Result<Value> value;
    Result<std::shared_ptr<const Contents>> contents;
  };
  auto ran = co_await pool_.run([desk = desk_, operation = std::move(operation)] {
    Result<Value> value = operation(desk->store);
    return Outcome{.value = std::move(value), .contents = desk->refresh()};
  });
  if (!ran) co_return fail(std::move(ran).error());
  const bool is_read = ran->contents.has_value();
  Result<Value> value = std::move(ran->value);
  // What is written and not in force yet must not be answered as done.
  if (value && !is_read) value = fail(ran->contents.error());
  adopt(std::move(ran->contents));
  co_return value;
}

void LiveKeyStore::say_unreadable() const {
  for (const std::string& name : contents_->unreadable) {
    log_.error("a key of the store cannot be read; it is not accepted, and its name stays taken",
               {{"path", path_}, {"key", excerpt(name, 64)}});
  }
}

void LiveKeyStore::adopt(Result<std::shared_ptr<const Contents>> read) {
  if (!read) {
    failures_.add();
    up_.set(0);
    if (!std::exchange(is_failing_, true)) {
      log_.error("the key store cannot be read; the keys of before stay in force",
                 {{"path", path_}, {"error", read.error().message}});
    }
    return;
  }
  up_.set(1);
  if (std::exchange(is_failing_, false)) log_.info("the key store can be read again", {{"path", path_}});
  if (*read == contents_) return;
  const auto before = std::exchange(contents_, std::move(*read));
  if (before->unreadable != contents_->unreadable) say_unreadable();
  if (told_) told_();
}

Task<Result<MadeKey>> LiveKeyStore::create(KeyConfig wanted) {
  return apply<MadeKey>(
      [wanted = std::move(wanted), now = now_()](KeyStore& store) { return store.create(wanted, now); });
}

Task<Result<StoredKey>> LiveKeyStore::revoke(std::string name) {
  return apply<StoredKey>(
      [name = std::move(name), now = now_()](KeyStore& store) { return store.revoke(name, now); });
}

Task<Result<MadeKey>> LiveKeyStore::rotate(std::string name, Duration grace) {
  return apply<MadeKey>([name = std::move(name), grace, now = now_()](KeyStore& store) {
    return store.rotate(name, grace, now);
  });
}

Task<void> LiveKeyStore::look() {
  auto ran = co_await pool_.run([desk = desk_] { return desk->refresh(); });
  if (ran) adopt(std::move(*ran));  // a full queue: those who wait look as well
}

}  // namespace autoglm::gateway
