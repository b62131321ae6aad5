#include "cluster/registries/kubernetes/kubernetes_watch.h"

#include "http/message.h"
#include "runtime/event_loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace autoglm::cluster {

namespace {

// A watch may be silent for ever. The server ends it after so long, which also finds a server that is frozen.
constexpr Duration kWatch = std::chrono::seconds(30);
constexpr Duration kShortWatch = std::chrono::seconds(1);
constexpr Duration kBeyond = std::chrono::seconds(5);
constexpr Duration kLongestPage = std::chrono::seconds(30);
// A server that forgets, or a watch that misses something, is noticed after so long.
constexpr Duration kBetweenLists = std::chrono::minutes(10);
// Between a watch that the server has ended and the next one.
constexpr Duration kBetweenWatches = std::chrono::milliseconds(50);
constexpr unsigned kPage = 500;                                // objects
constexpr std::size_t kLongPage = std::size_t{64} << 10U;      // takes milliseconds to read
constexpr std::size_t kLargestEvent = std::size_t{16} << 20U;  // etcd stores 1.5 MiB an object
constexpr int kExpiredCode = 410;

Error strange_watch(std::string_view what) {
  return Error{.code = ErrorCode::kBadGateway,
               .origin = Origin::kEndpoint,
               .message = "Kubernetes' watch cannot be read: " + std::string(what)};
}

std::string page_path(const KubernetesWatch::Options& options, std::string_view continues) {
  return fmt::format("{}?{}&limit={}{}{}", options.path, options.selector, kPage,
                     continues.empty() ? "" : "&continue=", http::percent_encode(continues));
}

}  // namespace

bool goes_back(std::string_view before, std::string_view version) {
  // Versions are decimal numbers, whatever else they may become one day.
  const auto is_number = [](std::string_view text) {
    return !text.empty() && text.front() != '0' &&
           std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
  };
  if (!is_number(before) || !is_number(version)) return false;
  return version.size() != before.size() ? version.size() < before.size() : version < before;
}

Error KubernetesWatch::refused(KubernetesClient::Answer& answer) {
  retry_after_ = answer.retry_after;
  return Error{
      .code = ErrorCode::kUnavailable, .origin = Origin::kEndpoint, .message = std::move(answer.reason)};
}

Task<Result<KubernetesList>> KubernetesWatch::read_page(std::string body) {
  if (body.size() < kLongPage) co_return read_kubernetes_list(body);
  auto read = co_await client_.pool().run([body = std::move(body)] { return read_kubernetes_list(body); },
                                          {.is_long = true});
  if (!read) co_return fail(std::move(read).error());
  co_return std::move(*read);
}

Task<Result<KubernetesWatch::End>> KubernetesWatch::read_pages(std::vector<KubernetesObject>& objects) {
  std::string continues;
  std::size_t bytes = 0;
  do {
    auto answer = co_await client_.get(page_path(options_, continues), kLongestPage);
    if (!answer) co_return fail(std::move(answer).error());
    if (answer->status == kExpiredCode) co_return End::kExpired;
    if (answer->response == nullptr) co_return fail(refused(*answer));
    auto body =
        co_await answer->response->read_all(RegistryClient::kLargestAnswer, Deadline::after(kLongestPage));
    if (!body) co_return fail(std::move(body).error());
    auto page = co_await read_page(std::move(*body));
    if (!page) co_return fail(std::move(page).error());
    for (KubernetesObject& each : page->objects) {
      bytes += each.name.size() + each.json.size();
      objects.push_back(std::move(each));
    }
    if (bytes > options_.limits.list_bytes || objects.size() > options_.limits.objects)
      co_return fail(strange_watch("the list has no end"));
    // An empty page that goes on would go on for ever.
    if (page->objects.empty() && !page->continues.empty())
      co_return fail(strange_watch("a page has no objects, and there is another"));
    if (continues.empty()) version_ = std::move(page->version);
    continues = std::move(page->continues);
  } while (!continues.empty());
  co_return End::kClean;
}

Task<Result<void>> KubernetesWatch::list(KubernetesSink& sink) {
  std::vector<KubernetesObject> objects;
  auto end = co_await read_pages(objects);
  if (end && *end == End::kExpired) {  // changes came faster than pages
    objects.clear();
    end = co_await read_pages(objects);
  }
  if (!end) co_return fail(std::move(end).error());
  if (*end == End::kExpired) co_return fail(strange_watch("the list has expired twice while it was read"));
  sink.replace(std::move(objects));
  co_return Result<void>();
}

/// What one event says.
Result<KubernetesWatch::End> KubernetesWatch::take(std::string_view text, KubernetesSink& sink) {
  auto event = read_kubernetes_event(text);
  if (!event) return fail(std::move(event).error());
  using Kind = KubernetesEvent::Kind;
  if (event->kind == Kind::kError) {
    if (event->status.code == kExpiredCode) return End::kExpired;
    return fail(strange_watch(event->status.message.empty() ? "an error" : event->status.message));
  }
  if (goes_back(version_, event->version)) return End::kExpired;
  version_ = std::move(event->version);
  heard_ = true;
  if (event->kind == Kind::kRemoved) sink.remove(event->name);
  if (event->kind == Kind::kPut) {
    if (auto taken = sink.put(event->name, event->object); !taken) return fail(std::move(taken).error());
  }
  return End::kClean;
}

/// One watch, until it ends.
Task<Result<KubernetesWatch::End>> KubernetesWatch::watch(KubernetesSink& sink) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(kWatch).count();
  auto answer = co_await client_.get(
      fmt::format("{}?{}&watch=1&resourceVersion={}&allowWatchBookmarks=true&timeoutSeconds={}",
                  options_.path, options_.selector, http::percent_encode(version_), seconds),
      kWatch + kBeyond);
  if (!answer) co_return fail(std::move(answer).error());
  if (answer->status == kExpiredCode) co_return End::kExpired;
  if (answer->response == nullptr) co_return fail(refused(*answer));
  JsonObjects objects;
  while (true) {
    auto count = co_await answer->response->read(objects.buffer());
    if (!count) co_return fail(std::move(count).error());
    while (const auto text = objects.next()) {
      auto end = take(*text, sink);
      if (!end || *end != End::kClean) co_return end;
    }
    if (objects.is_garbage()) co_return fail(strange_watch("it is no JSON"));
    if (*count == 0 && objects.pending() > 0) co_return fail(strange_watch("it ends within an event"));
    if (*count == 0) co_return End::kClean;
    if (objects.pending() > kLargestEvent) co_return fail(strange_watch("an event has no end"));
    objects.forget_taken();
  }
}

/// A list, and watches for as long as it lasts. Errors: why it ended before its time.
Task<Result<void>> KubernetesWatch::follow(KubernetesSink& sink) {
  if (auto listed = co_await list(sink); !listed) co_return listed;
  const Deadline until =
      Deadline::after(std::chrono::duration_cast<Duration>(kBetweenLists * (0.5 + random_.uniform() / 2)));
  while (!until.passed()) {
    heard_ = false;
    const MonotonicTime began = loop_time();
    auto end = co_await watch(sink);
    if (!end) co_return fail(std::move(end).error());
    const bool is_short = loop_time() - began < kShortWatch;
    if (!is_short) delay_.reset();
    // A server sends a bookmark before it ends a watch. One that has forgotten our version, as after a
    // restore of its memory, waits for it to come and is silent.
    if (*end == End::kExpired || !heard_) co_return Result<void>();
    // A server that ends each watch at once is asked once a second.
    co_await sleep_for(is_short ? std::min<Duration>(delay_.next(random_), kShortWatch) : kBetweenWatches);
  }
  co_return Result<void>();
}

Task<void> KubernetesWatch::run(KubernetesSink& sink) {
  while (true) {
    retry_after_.reset();
    const auto followed = co_await follow(sink);
    if (!followed) sink.fail(followed.error());
    co_await sleep_for(std::max(delay_.next(random_), retry_after_.value_or(Duration::zero())));
  }
}

}  // namespace autoglm::cluster
