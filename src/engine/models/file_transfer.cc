#include "engine/models/file_transfer.h"

#include "base/random.h"
#include "engine/models/model_format.h"
#include "runtime/event_loop.h"

#include <fmt/format.h>

#include <utility>

namespace autoglm::engine {

namespace {

constexpr std::uint64_t kSpare = 16ULL << 20U;         // space on the disk that is left free for other uses
constexpr std::uint64_t kRoomInterval = 64ULL << 20U;  // bytes between checks of the free space
constexpr unsigned kMaxAttempts = 100;                 // for one file, whether or not they make progress

Error error_of(ErrorCode code, std::string message) {
  return Error{.code = code, .origin = Origin::kEndpoint, .message = std::move(message)};
}

}  // namespace

Result<void> FileTransfer::check_room(const PartialFile& partial) const {
  const auto room = free_bytes(target_.parent_path());
  const std::uint64_t wanted =
      file_.bytes && *file_.bytes > partial.bytes() ? *file_.bytes - partial.bytes() : 0;
  if (!room || (*room >= kSpare && *room - kSpare >= wanted)) return {};
  return fail(
      ErrorCode::kResourceExhausted,
      fmt::format(
          "{} needs {} more, and {} has {} free: make room (`open-autoglm models`, `open-autoglm rm`), "
          "or set XDG_CACHE_HOME to a folder on another disk",
          file_.path, shown_bytes(wanted), target_.parent_path().string(), shown_bytes(*room)));
}

/// Checks the format before any bytes are written, as far as the file's beginning shows it.
Result<void> FileTransfer::check_beginning(PartialFile& partial, std::string_view bytes) {
  if (partial.bytes() > 0 || bytes.empty()) return {};
  auto checked =
      check_format(bytes, fmt::format("what {} sends for {}",
                                      hub::file_url(to_.settings, name_, file_.path).origin(), file_.path));
  if (!checked) partial.discard();
  return checked;
}

/// Prepares the file for the body of `answer`; false when there is nothing to read from it.
Result<bool> FileTransfer::prepare(PartialFile& partial, const HubClient::Answer& answer,
                                   const Verdict& verdict) {
  using enum Verdict::Step;
  if (file_.sha256.empty()) file_.sha256 = answer.sha256;
  const std::string& noted = partial.note().sha256;
  const bool another = partial.bytes() > 0 && verdict.step == kAppend &&
                       ((verdict.total && file_.bytes && *verdict.total != *file_.bytes) ||
                        (!noted.empty() && !file_.sha256.empty() && noted != file_.sha256));
  if (verdict.step == kDiscard || another) {
    to_.hooks.say(
        fmt::format("{}: what is here does not fit to what the server has; starting over", file_.path));
    if (auto begun = partial.begin({}); !begun) return fail(begun.error());
    return false;
  }
  if (!file_.bytes) file_.bytes = verdict.total;
  // A digest that the hub stated with an earlier part also holds for the rest.
  if (file_.sha256.empty() && verdict.step != kRestart) file_.sha256 = noted;
  if (verdict.step == kComplete) return false;
  if (verdict.step == kRestart)
    to_.hooks.say(fmt::format("{}: the server sends all of it again; starting over", file_.path));
  if (verdict.step == kRestart || partial.bytes() == 0) {
    if (auto begun = partial.begin({.etag = verdict.etag, .sha256 = file_.sha256, .bytes = file_.bytes});
        !begun)
      return fail(begun.error());
  }
  if (auto room = check_room(partial); !room) return fail(room.error());
  return true;
}

Task<FileTransfer::Attempt> FileTransfer::receive(PartialFile& partial, http::ClientResponse& response) {
  std::string buffer;
  std::uint64_t next_look = partial.bytes() + kRoomInterval;
  while (true) {
    const auto count = co_await response.read(buffer);
    const bool ended = !count || *count == 0;
    // The first bytes are held back until they are enough to recognize the format.
    if (partial.bytes() > 0 || buffer.size() >= kFormatBytes || ended) {
      if (auto checked = check_beginning(partial, buffer); !checked) co_return Attempt{fail(checked.error())};
      if (auto written = partial.append(buffer); !written) co_return Attempt{fail(written.error())};
      buffer.clear();
      to_.done = partial.bytes();
    }
    if (!count) co_return Attempt{fail(count.error()), true};
    if (file_.bytes && partial.bytes() > *file_.bytes) {
      partial.discard();
      co_return Attempt{
          fail(error_of(ErrorCode::kDataLoss,
                        fmt::format("{} is longer than the {} bytes that are stated for it; the partial "
                                    "file is deleted",
                                    file_.path, *file_.bytes)))};
    }
    if (ended) break;
    if (partial.bytes() >= next_look) {
      if (auto room = check_room(partial); !room) co_return Attempt{fail(room.error())};
      next_look += kRoomInterval;
    }
  }
  if (file_.bytes && partial.bytes() < *file_.bytes) {
    co_return Attempt{
        fail(error_of(ErrorCode::kBadGateway,
                      fmt::format("the answer ended after {} of {} bytes", partial.bytes(), *file_.bytes))),
        true};
  }
  co_return Attempt{Result<void>()};
}

Task<FileTransfer::Attempt> FileTransfer::attempt(PartialFile& partial) {
  if (file_.bytes && partial.bytes() > *file_.bytes) {
    if (auto begun = partial.begin({}); !begun) co_return Attempt{fail(begun.error())};
  }
  if (file_.bytes && partial.bytes() == *file_.bytes && partial.bytes() > 0)
    co_return Attempt{Result<void>()};
  if (auto room = check_room(partial); !room) co_return Attempt{fail(room.error())};
  HubClient::Headers headers;
  if (partial.bytes() > 0) {
    headers.emplace_back("Range", fmt::format("bytes={}-", partial.bytes()));
    if (!partial.note().etag.empty()) headers.emplace_back("If-Range", partial.note().etag);
  }
  auto answer = co_await to_.client.get(hub::file_url(to_.settings, name_, file_.path), std::move(headers));
  if (!answer) co_return Attempt{fail(answer.error()), true};
  http::ClientResponse& response = *answer->response;
  const Verdict verdict = Verdict::of(response.status(), response.headers(), partial.bytes());
  using enum Verdict::Step;
  if (verdict.step == kRetry || verdict.step == kRefused) {
    co_return Attempt{fail(hub::refusal(name_, answer->url, response.status(), answer->with_token)),
                      verdict.step == kRetry, verdict.retry_after};
  }
  auto ready = prepare(partial, *answer, verdict);
  to_.done = partial.bytes();
  if (!ready) co_return Attempt{fail(ready.error())};
  if (*ready) {
    if (!file_.bytes && !response.headers().find("transfer-encoding")) {
      co_return Attempt{fail(
          error_of(ErrorCode::kBadGateway,
                   fmt::format("{} does not say how long {} is, so nobody could tell whether it is whole",
                               answer->url.origin(), file_.path)))};
    }
    co_return co_await receive(partial, response);
  }
  if (verdict.step == kComplete) co_return Attempt{Result<void>()};
  co_return Attempt{fail(error_of(ErrorCode::kBadGateway, "what was here did not fit")), true};
}

/// Feeds the bytes of an earlier pull to the digest.
Task<Result<void>> FileTransfer::read_what_is_there(PartialFile& partial) {
  if (partial.bytes() > 0 && !partial.note().resumable(file_.sha256)) {
    // The script that fetches the default model writes no notes; here the digest decides in the end.
    const bool unnoted =
        partial.note().sha256.empty() && partial.note().etag.empty() && !file_.sha256.empty();
    if (!unnoted) {
      to_.hooks.say(fmt::format("{}: {} of an earlier pull cannot be resumed; starting over", file_.path,
                                shown_bytes(partial.bytes())));
      co_return partial.begin({});
    }
  }
  if (partial.bytes() > 0)
    to_.hooks.say(fmt::format("{}: resuming after {}", file_.path, shown_bytes(partial.bytes())));
  while (true) {
    const auto all = partial.read_on();
    if (!all) co_return fail(all.error());
    if (*all) co_return Result<void>();
    co_await yield_to_loop();
  }
}

Result<void> FileTransfer::verify(PartialFile& partial) {
  if (file_.sha256.empty()) {
    to_.hooks.say(
        fmt::format("{}: the server states no sha256, so only its size and format were checked", file_.path));
    return {};
  }
  const std::string found = partial.sha256();
  if (found == file_.sha256) return {};
  partial.discard();
  return fail(
      ErrorCode::kDataLoss,
      fmt::format(
          "{} is corrupt: its sha256 is {}, the hub states {}; the partial file is deleted, pull again",
          file_.path, found, file_.sha256));
}

Task<Result<void>> FileTransfer::run() {
  auto partial = PartialFile::open(target_);
  if (!partial) co_return fail(partial.error());
  if (auto read = co_await read_what_is_there(*partial); !read) co_return fail(read.error());
  to_.done = partial->bytes();
  unsigned failed = 0;  // in a row without a byte
  for (unsigned tries = 1;; ++tries) {
    const std::uint64_t before = partial->bytes();
    Attempt tried = co_await attempt(*partial);
    if (tried.outcome) break;
    failed = partial->bytes() > before ? 1 : failed + 1;
    const auto wait = tried.again && tries < kMaxAttempts
                          ? to_.retries.wait(failed, tried.retry_after, thread_random().uniform())
                          : std::nullopt;
    if (!wait) {
      Error error = std::move(tried.outcome).error();
      if (tried.retry_after)
        error.message += fmt::format(" (it asks to wait {} s)", tried.retry_after->count());
      if (tried.again)
        error.message += partial->bytes() > 0 ? "; what has arrived is kept, and pulling again resumes it"
                                              : "; check the network and proxies";
      co_return fail(std::move(error));
    }
    to_.hooks.say(fmt::format("{}: {}; trying again in {:.1f} s from {}", file_.path,
                              tried.outcome.error().message, to_seconds(*wait),
                              shown_bytes(partial->bytes())));
    co_await sleep_for(*wait);
  }
  if (auto verified = verify(*partial); !verified) co_return fail(verified.error());
  co_return partial->commit();
}

}  // namespace autoglm::engine
