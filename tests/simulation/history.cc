#include "history.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

namespace autoglm::simulation {

using namespace std::chrono_literals;

namespace {

/// How much the network and the machine may add to a promised time.
constexpr Duration kGrace = 1s;
constexpr std::size_t kMostBreaches = 8;

/// The value of the first member of that name, up to the next mark; nothing when there is none.
std::optional<std::string_view> member(std::string_view json, std::string_view name, char end) {
  const std::size_t at = json.find(name);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view rest = json.substr(at + name.size());
  return rest.substr(0, rest.find(end));
}

/// Whether `text` contains a token of any answer.
bool has_token(std::string_view text) {
  for (std::size_t at = 0; (at = text.find('c', at)) != std::string_view::npos; ++at) {
    const std::size_t end = text.find_first_not_of("0123456789", at + 1);
    if (end != std::string_view::npos && end > at + 1 && text[end] == '.') return true;
  }
  return false;
}

/// The answer of a server without the path, in FastAPI's form.
constexpr std::string_view kFastApisWords = R"({"detail":"Not Found"})";

/// The codes of docs/serving.md.
bool documented(int status) {
  constexpr std::array kStatuses = {400, 401, 403, 404, 405, 408, 413, 422,
                                    429, 431, 500, 501, 502, 503, 504};
  return std::ranges::find(kStatuses, status) != kStatuses.end();
}

}  // namespace

std::uint64_t number_behind(std::string_view text, std::string_view mark) {
  std::uint64_t number = 0;
  if (const std::size_t at = text.find(mark); at != std::string_view::npos)
    std::from_chars(text.data() + at + mark.size(), text.data() + text.size(), number);
  return number;
}

std::string token_text(std::uint64_t id, std::uint32_t index) { return fmt::format("c{}.{} ", id, index); }

Sums& Sums::operator+=(const Sums& other) {
  calls += other.calls;
  for (std::size_t i = 0; i < kEndings; ++i) by_ending[i] += other.by_ending[i];
  for (std::size_t i = 0; i < by_status.size(); ++i) by_status[i] += other.by_status[i];
  attempts += other.attempts;
  retries += other.retries;
  resumes += other.resumes;
  tokens += other.tokens;
  faults += other.faults;
  virtual_seconds += other.virtual_seconds;
  return *this;
}

void History::breach(std::string what) {
  if (breaches_.size() < kMostBreaches)
    breaches_.push_back(
        fmt::format("at {:.3f} s: {}", to_seconds(machine_.now().time_since_epoch()) - 3600, what));
}

Call& History::sends(Call call) {
  ++sums_.calls;
  call.sent = call.heard = machine_.now();
  call.allowed = patience_.attempts;
  const std::uint64_t id = call.id;
  pooled_ += call.engine ? 0 : 1;
  Call& live = live_.emplace(id, std::move(call)).first->second;
  machine_.at(due(live), [this, id] { watch(id); });
  return live;
}

Call* History::find(std::uint64_t id) {
  const auto found = live_.find(id);
  return found == live_.end() ? nullptr : &found->second;
}

/// Until when the client must get something.
MonotonicTime History::due(const Call& call) const {
  if (call.engine) return (call.stream ? call.heard : call.sent) + patience_.engine + kGrace;
  if (!call.stream) return call.sent + std::min(patience_.whole, call.own_time) + kGrace;
  const bool begun = call.heard > call.sent;  // a chat's first event may say nothing yet
  return call.heard + (begun ? patience_.silent : std::min(patience_.first, call.own_time)) + kGrace;
}

/// I1: each request has an outcome in time.
void History::watch(std::uint64_t id) {
  const Call* call = find(id);
  if (call == nullptr) return;
  if (const MonotonicTime until = due(*call); until > machine_.now()) {
    machine_.at(until, [this, id] { watch(id); });
    return;
  }
  breach(fmt::format("I1: request {} ({}, {} of {} tokens) has no outcome in time", id,
                     call->stream ? "stream" : "whole", call->tokens, call->max_tokens));
  pooled_ -= call->engine ? 0 : 1;
  retrying_ -= call->retries > 0 ? 1 : 0;
  live_.erase(id);  // reported once
}

/// I2, I4: a client gets exactly its own text, in order.
void History::text(Call& call, std::string_view said) {
  const std::string_view left = std::string_view(call.expected).substr(call.said);
  if (!left.starts_with(said)) {
    const bool own = said.starts_with(fmt::format("c{}.", call.id));
    return breach(
        fmt::format("{}: request {} expected \"{}\" and got \"{}\"", own ? "I2" : "I4", call.id, left, said));
  }
  call.said += said.size();
  const auto tokens = call.engine ? said.size() : static_cast<std::size_t>(std::ranges::count(said, ' '));
  call.tokens += static_cast<std::uint32_t>(tokens);
  call.token_times.resize(call.tokens, machine_.now());
  sums_.tokens += tokens;
}

/// I8: the usage that the client is told is what it got.
void History::usage(Call& call, std::string_view json) {
  if (!json.contains("\"usage\":{")) return;
  call.prompt_usage = static_cast<std::uint32_t>(number_behind(json, "\"prompt_tokens\":"));
  const auto completion = number_behind(json, "\"completion_tokens\":");
  if (call.prompt_usage != call.prompt_tokens || completion != call.max_tokens)
    breach(fmt::format("I8: request {} of {} and {} tokens is told {} and {}", call.id, call.prompt_tokens,
                       call.max_tokens, call.prompt_usage, completion));
}

void History::event(Call& call, std::string_view data) {
  call.heard = machine_.now();
  if (data == "[DONE]") {
    if (!call.finished || call.tokens != call.max_tokens)
      breach(fmt::format("I2: stream {} ends behind {} of {} tokens", call.id, call.tokens, call.max_tokens));
    return ends(call, Ending::kFinished);
  }
  if (data.starts_with("{\"error\":")) {
    if (must_go_on && must_go_on(call))
      breach(fmt::format("I2: stream {} breaks behind {} of {} tokens, and others are well: {}", call.id,
                         call.tokens, call.max_tokens, data));
    return ends(call, Ending::kErrorEvent);
  }
  const auto said = member(data, call.chat ? "\"content\":\"" : "\"text\":\"", '"');
  if (said) text(call, *said);
  if (data.contains("\"finish_reason\":\"")) {
    if (std::exchange(call.finished, true)) breach(fmt::format("I1: stream {} is finished twice", call.id));
  }
  usage(call, data);
}

void History::answer(Call& call, std::string_view body) {
  call.heard = machine_.now();
  const auto said = member(body, call.chat ? "\"content\":\"" : "\"text\":\"", '"');
  if (said) text(call, *said);
  if (call.tokens != call.max_tokens)
    breach(fmt::format("I2: answer {} has {} of {} tokens: {}", call.id, call.tokens, call.max_tokens, body));
  usage(call, body);
  ends(call, Ending::kWhole);
}

/// I7: a documented status, an error object or a server's own words, and a `Retry-After` where waiting is
/// sure to help.
void History::refusal(Call& call, int status, std::string_view retry_after, std::string_view body) {
  ++sums_.by_status[static_cast<std::size_t>(std::clamp(status, 0, 599))];
  std::uint32_t seconds = 0;
  std::from_chars(retry_after.data(), retry_after.data() + retry_after.size(), seconds);
  const bool owes_time = status == 503 || status == 429;
  const bool has_words = body.starts_with("{\"error\":{\"message\":\"") || body == kFastApisWords;
  if (!documented(status) || !has_words || (owes_time && seconds == 0))
    breach(fmt::format("I7: request {} is refused with {}, Retry-After \"{}\", {}", call.id, status,
                       retry_after, body));
  const bool found_fault = status == 400 || status == 413 || status == 422;
  if (found_fault && call.objection != status)
    breach(
        fmt::format("I6: request {} is told {}, which no server has said of it: {}", call.id, status, body));
  const bool steady = !patience_.hedges && call.own_time == Duration::max();
  if (call.objection != 0 && steady && status / 100 == 5 && status != 504)
    breach(fmt::format("I6: request {}, which a server has answered with {}, is told {}: {}", call.id,
                       call.objection, status, body));
  if (has_token(body)) breach(fmt::format("I4: the refusal of {} has text of an answer: {}", call.id, body));
  if (status == 404 && !call.engine && body.contains("this server has"))
    breach(fmt::format("I6: request {} for a model that is there is told 404: {}", call.id, body));
  ends(call, Ending::kRefused);
}

void History::ends(Call& call, Ending ending) {
  ++sums_.by_ending[static_cast<std::size_t>(ending)];
  machine_.note(call.id * 8 + static_cast<std::uint64_t>(ending));
  const std::uint64_t id = call.id;
  const bool good = ending == Ending::kWhole || ending == Ending::kFinished;
  if (good) told_usage_[id] = {call.prompt_usage, call.max_tokens};
  if (call.engine && ending != Ending::kRefused) {
    generated_.least += good ? call.max_tokens : call.tokens;
    generated_.most += call.max_tokens;
  }
  if (good && call.objection != 0 && !patience_.hedges)
    breach(fmt::format("I6: request {}, which a server has answered with {}, is asked elsewhere", id,
                       call.objection));
  if (!call.engine) {
    --pooled_;
    ends_.push_back(machine_.now());
  }
  if (call.retries > 0) --retrying_;
  live_.erase(id);
  ended_[id] = machine_.now();
  forgotten_next_.push_back(id);
  for (; machine_.now() - ended_.at(forgotten_next_.front()) > 30s; forgotten_next_.pop_front())
    ended_.erase(forgotten_next_.front());
}

/// I3: no work without a client, no second beginning, no more attempts than are allowed.
bool History::arrives(std::uint64_t id, std::uint32_t said, bool resume) {
  ++sums_.attempts;
  Call* call = find(id);
  if (call == nullptr) {
    const auto ended = ended_.find(id);
    if (ended == ended_.end() || machine_.now() - ended->second > kGrace)
      breach(fmt::format("I3: request {} reaches a server when it is over", id));
    return false;
  }
  // When two servers are asked at the same time, a token of one may overtake the request to the other.
  if (call->tokens > said && machine_.now() - call->token_times[said] > kGrace)
    breach(fmt::format("I3: request {} is asked again from token {} when its client has {}", id, said,
                       call->tokens));
  if (resume) ++sums_.resumes;
  if (call->broke) ++behind_breaks_;
  if (++call->attempts > call->allowed)
    breach(fmt::format("I3: request {} is attempted for the {}th time", id, call->attempts));
  if (call->attempts == 1) return false;
  ++sums_.retries;
  if (call->unpaid > 0) {
    --call->unpaid;
    return false;
  }
  if (call->retries++ == 0 && ++retrying_ > retries_at_once())
    breach(fmt::format("I3: {} retries at once for {} requests", retrying_, pooled_));
  return true;
}

/// The retries that the budget allows, counting calls that ended just now: they were there when the latest
/// retries were allowed. A server that is given up, or loses a hedge, learns of that a little later.
std::uint64_t History::retries_at_once() {
  while (!ends_.empty() && machine_.now() - ends_.front() > kGrace) ends_.pop_front();
  const std::uint64_t share = (pooled_ + ends_.size()) * patience_.retry_percent / 100;
  return std::max<std::uint64_t>(3, share) + 2;
}

/// I3: abandoned work does not begin.
void History::prepares(std::uint64_t id) {
  const auto ended = ended_.find(id);
  if (find(id) == nullptr && (ended == ended_.end() || machine_.now() - ended->second > kGrace / 2))
    breach(fmt::format("I3: request {} is prepared when it is over", id));
}

void History::answered(std::uint64_t id, bool retry) {
  Call* call = find(id);
  if (retry && call != nullptr && --call->retries == 0) --retrying_;
}

void History::breaks(std::uint64_t id) {
  Call* call = find(id);
  if (call == nullptr || !call->stream) return;
  call->broke = true;
  call->allowed += patience_.attempts;
  ++call->unpaid;
}

void History::loses(std::uint64_t id) {
  Call* call = find(id);
  if (call != nullptr && !std::exchange(call->lost, true)) ++call->unpaid;
}

void History::objects(std::uint64_t id, int status) {
  if (Call* call = find(id); call != nullptr && call->tokens == 0) call->objection = status;
}

}  // namespace autoglm::simulation
