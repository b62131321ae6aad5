#include "cluster/registries/consul/consul_query.h"

#include "runtime/event_loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace autoglm::cluster {

namespace {

// Consul may answer at once although nothing changed here; then the next query waits longer and longer.
constexpr Duration kLeastPause = std::chrono::milliseconds(50);
constexpr Duration kMostPause = std::chrono::seconds(1);
// The list of a service that changes all the time is asked for at some ten megabytes a second.
constexpr Duration kPauseByByte = std::chrono::nanoseconds(100);
constexpr Duration kMostLongPause = std::chrono::milliseconds(500);

}  // namespace

std::uint64_t next_consul_index(std::uint64_t asked, std::string_view said) {
  std::uint64_t index = 0;
  const auto [end, error] = std::from_chars(said.data(), said.data() + said.size(), index);
  if (error != std::errc() || end != said.data() + said.size() || index < asked) return 0;
  return std::max<std::uint64_t>(index, 1);
}

Task<Result<RegistryClient::Answer>> ConsulQuery::next() {
  if (pause_ > Duration::zero()) co_await sleep_for(pause_);
  const std::string asked = client_.address();
  auto answer =
      co_await client_.get(path_ + fmt::format("index={}&wait={}s", index_,
                                               std::chrono::ceil<std::chrono::seconds>(wait_).count()),
                           index_ == 0 ? Duration::zero() : wait_);
  if (answer && answer->status != 200 && answer->status != 404)
    answer = fail(registry_refused(asked, *answer));
  if (!answer) {
    restart();
    co_return answer;
  }
  index_ = next_consul_index(index_, answer->index);
  least_pause_ =
      std::clamp(kPauseByByte * static_cast<Duration::rep>(answer->body.size()), kLeastPause, kMostLongPause);
  pause_ = least_pause_;
  co_return answer;
}

void ConsulQuery::restart() {
  index_ = 0;
  quiet_ = 0;
  pause_ = delay_.next(random_);
}

void ConsulQuery::told(bool news) {
  delay_.reset();
  quiet_ = news ? 0 : std::min(quiet_ + 1, 5U);
  pause_ = std::clamp(kLeastPause * (1U << quiet_), least_pause_, kMostPause);
}

}  // namespace autoglm::cluster
