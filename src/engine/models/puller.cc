#include "engine/models/puller.h"

#include "base/random.h"
#include "engine/models/cache_lock.h"
#include "engine/models/file_transfer.h"
#include "runtime/race.h"
#include "runtime/scope.h"

#include <fmt/format.h>

#include <utility>

namespace autoglm::engine {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kListingBytes = 16U << 20U;
constexpr int kListingPages = 50;
constexpr Duration kLook = std::chrono::milliseconds(100);
constexpr Duration kLockPatience = std::chrono::hours(12);

/// One pull, on a separate loop.
class Puller {
 public:
  Puller(const ModelStore& store, const ModelName& name, const HubSettings& settings, const PullHooks& hooks,
         const RetryPolicy& retries)
      : store_(store),
        name_(name),
        settings_(settings),
        hooks_(hooks),
        retries_(retries),
        client_(pool_, settings) {}

  Task<Result<PulledModel>> run();
  /// Returns when the pull is no longer wanted.
  Task<void> watch();

 private:
  Task<Result<CacheLock>> lock();
  Task<Result<std::vector<ListedFile>>> plan();
  Task<Result<std::string>> page(http::Url url, std::string& next);
  Result<void> check_room(const std::vector<ListedFile>& files) const;
  Task<Result<void>> fetch(const std::vector<ListedFile>& files);

  const ModelStore& store_;
  const ModelName& name_;
  const HubSettings& settings_;
  const PullHooks& hooks_;
  const RetryPolicy& retries_;
  BlockingPool pool_{1, 16};  // for name lookups
  HubClient client_;
  std::uint64_t finished_ = 0;  // bytes of complete files
  std::uint64_t current_ = 0;   // bytes of the current file
  std::optional<std::uint64_t> total_;
};

Task<void> Puller::watch() {
  while (hooks_.progress(finished_ + current_, total_)) co_await sleep_for(kLook);
}

Task<Result<CacheLock>> Puller::lock() {
  const fs::path folder = store_.folder(name_);
  const Deadline deadline = Deadline::after(kLockPatience);
  for (bool said = false; !deadline.passed(); co_await sleep_for(kLook)) {
    auto taken = CacheLock::try_take(folder);
    if (!taken) co_return fail(taken.error());
    if (*taken) co_return std::move(**taken);
    if (!std::exchange(said, true))
      hooks_.say(
          fmt::format("{} is being pulled by {}; waiting for it", name_.shown(), CacheLock::holder(folder)));
  }
  co_return fail(ErrorCode::kUnavailable,
                 fmt::format("{} has held {} for hours: end it and try again", CacheLock::holder(folder),
                             (folder / CacheLock::kFile).string()));
}

/// One page of a listing; retries after errors that may pass.
Task<Result<std::string>> Puller::page(http::Url url, std::string& next) {
  for (unsigned failed = 1;; ++failed) {
    std::optional<std::chrono::seconds> retry_after;
    Error error;
    auto answer = co_await client_.get(url, {});
    if (answer) {
      http::ClientResponse& response = *answer->response;
      const Verdict verdict = Verdict::of(response.status(), response.headers(), 0);
      if (response.status() != 200 && verdict.step != Verdict::Step::kRetry)
        co_return fail(hub::refusal(name_, answer->url, response.status(), answer->with_token));
      if (response.status() == 200) {
        next = hub::next_page(response.headers().find("link").value_or(""));
        auto body = co_await response.read_all(kListingBytes);
        if (body) co_return std::move(*body);
        error = std::move(body).error();
      } else {
        error = hub::refusal(name_, answer->url, response.status(), answer->with_token);
        retry_after = verdict.retry_after;
      }
    } else {
      error = std::move(answer).error();
    }
    const auto wait = retries_.wait(failed, retry_after, thread_random().uniform());
    if (!wait) {
      error.message += retry_after ? fmt::format(" (it asks to wait {} s)", retry_after->count())
                                   : "; check the network, HF_ENDPOINT and proxies";
      co_return fail(std::move(error));
    }
    hooks_.say(fmt::format("{}; trying again in {:.1f} s", error.message, to_seconds(*wait)));
    co_await sleep_for(*wait);
  }
}

/// The files to fetch.
Task<Result<std::vector<ListedFile>>> Puller::plan() {
  if (name_.kind == ModelName::Kind::kUrl) {
    const auto split = SplitName::parse(name_.file);
    std::vector<ListedFile> files;
    for (unsigned part = 1; part <= (split ? split->parts : 1); ++part)
      files.push_back({.path = split ? split->of(part) : name_.file});
    co_return files;
  }
  std::vector<ListedFile> listed;
  http::Url url = hub::listing_url(settings_, name_);
  for (int pages = 0; pages < kListingPages; ++pages) {
    std::string next;
    const auto body = co_await page(url, next);
    if (!body) co_return fail(body.error());
    auto files = hub::read_listing(name_, *body);
    if (!files) co_return fail(files.error());
    listed.insert(listed.end(), files->begin(), files->end());
    if (next.empty()) break;
    auto resolved = url.resolve(next);
    if (!resolved || resolved->origin() != url.origin()) break;
    url = std::move(*resolved);
  }
  co_return choose_files(listed, name_.wanted, name_.repository);
}

/// Checks the space for all files, before the first byte.
Result<void> Puller::check_room(const std::vector<ListedFile>& files) const {
  std::uint64_t wanted = 0;
  for (const ListedFile& file : files) {
    const fs::path target = store_.folder(name_) / file.path;
    std::error_code none;
    if (fs::exists(target, none)) continue;
    const auto have = fs::file_size(target.string() + std::string(PartialFile::kSuffix), none);
    const std::uint64_t bytes = file.bytes.value_or(0);
    wanted += none ? bytes : bytes - std::min<std::uint64_t>(have, bytes);
  }
  const auto room = free_bytes(store_.folder(name_));
  if (!room || *room >= wanted) return {};
  return fail(
      ErrorCode::kResourceExhausted,
      fmt::format("{} needs {} of disk, and {} has {} free: make room (`open-autoglm models`, `open-autoglm "
                  "rm`), or set XDG_CACHE_HOME to a folder on another disk",
                  name_.shown(), shown_bytes(wanted), store_.root().string(), shown_bytes(*room)));
}

Task<Result<void>> Puller::fetch(const std::vector<ListedFile>& files) {
  total_ = 0;
  for (const ListedFile& file : files)
    total_ = total_ && file.bytes ? std::optional(*total_ + *file.bytes) : std::nullopt;
  for (const ListedFile& file : files) {
    const fs::path target = store_.folder(name_) / file.path;
    std::error_code error;
    fs::create_directories(target.parent_path(), error);
    if (!fs::exists(target, error)) {
      FileTransfer transfer(
          name_, file, target,
          {.client = client_, .settings = settings_, .hooks = hooks_, .retries = retries_, .done = current_});
      if (auto done = co_await transfer.run(); !done) co_return fail(done.error());
    }
    finished_ += fs::file_size(target, error);
    current_ = 0;
  }
  co_return Result<void>();
}

Task<Result<PulledModel>> Puller::run() {
  if (auto here = store_.find(name_); here && *here) co_return PulledModel{.path = **here, .was_here = true};
  auto held = co_await lock();
  if (!held) co_return fail(held.error());
  // After waiting for another pull, the model may be here.
  if (auto here = store_.find(name_); here && *here) co_return PulledModel{.path = **here, .was_here = true};
  const auto files = co_await plan();
  if (!files) co_return fail(files.error());
  if (auto room = check_room(*files); !room) co_return fail(room.error());
  if (auto fetched = co_await fetch(*files); !fetched) co_return fail(fetched.error());
  hooks_.progress(finished_, finished_);
  co_return PulledModel{.path = store_.folder(name_) / files->front().path};
}

}  // namespace

Result<PulledModel> pull_model(const ModelStore& store, const ModelName& name, const HubSettings& settings,
                               const PullHooks& hooks, const RetryPolicy& retries) {
  EventLoop loop;
  Result<PulledModel> result =
      fail(ErrorCode::kCancelled, fmt::format("the pull of {} was ended", name.shown()));
  std::optional<Puller> puller(std::in_place, store, name, settings, hooks, retries);
  std::optional<Scope> scope(std::in_place);
  loop.post([&] {
    scope->spawn([](Puller& pulls, EventLoop& until, Result<PulledModel>& out) -> Task<void> {
      auto first = co_await first_of(pulls.run(), pulls.watch());
      if (first.index() == 0) out = std::move(std::get<0>(first));
      until.stop();
    }(*puller, loop, result));
  });
  loop.run();
  scope.reset();
  puller.reset();
  return result;
}

}  // namespace autoglm::engine
