#include "path_world.h"

#include "gateway_weather.h"
#include "memory.h"
#include "path_gateway.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace autoglm::simulation {

using namespace std::chrono_literals;

namespace {

constexpr Duration kBaseline = 4s;
constexpr Duration kRest = 12s;

// Allowances for memory made once in a process, for memory needed first when faults happen, and for the
// states that an engine saves.
constexpr std::int64_t kMostKept = 16 << 10;
constexpr std::int64_t kMostGrowth = 512 << 10;
constexpr std::int64_t kMostGrowthOfEngine = 4 << 20;
constexpr Duration kFaults = 20s;
constexpr Duration kRecovery = 30s;
constexpr Duration kMeasured = 4s;

gateway::PoolConfig config_of(Random& random, bool patient) {
  auto config = gateway::config_of(
      random, static_cast<gateway::Balance>(random.below(enum_names(gateway::Balance()).size())));
  for (std::size_t i = 0; i < config.endpoints.size(); ++i)
    config.endpoints[i].url = fmt::format("http://10.0.1.{}:8000/v1", i + 1);
  config.health.interval = 1s;
  config.health.timeout = 500ms;
  config.queue.timeout = 1s;
  config.timeouts = {.connect = 400ms, .reuse = 5s, .first_token = 1s, .idle = 1s};
  if (patient) config.timeouts.first_token = config.timeouts.idle = 40s;
  if (random.below(3) == 0) config.hedge = {.percentile = 90, .min_delay = 20ms};
  return config;
}

Patience patience_of(const gateway::PoolConfig& config) {
  const std::uint32_t attempts = config.retry.max_attempts;
  const Duration asked = attempts * (*config.timeouts.first_token + config.retry.max_backoff);
  return {.attempts = attempts,
          .whole = PathWorld::kRequestTimeout,
          .first = config.queue.timeout + asked,
          .silent = *config.timeouts.idle + config.queue.timeout + 2 * asked,
          .engine = PathWorld::kRequestTimeout,
          .retry_percent = config.retry.budget_percent,
          .hedges = config.hedge.percentile > 0};
}

/// A file of the host's memory.
class MemoryFile {
 public:
  MemoryFile() : fd_(::memfd_create("log", MFD_CLOEXEC)) {}
  ~MemoryFile() { ::close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::string path() const { return fmt::format("/proc/self/fd/{}", fd_); }
  std::string text() const {
    std::string text;
    std::array<char, 65'536> part;
    for (off_t at = 0;;) {
      const ssize_t count = ::pread(fd_, part.data(), part.size(), at);
      if (count <= 0) return text;
      text.append(part.data(), static_cast<std::size_t>(count));
      at += count;
    }
  }

 private:
  int fd_;
};

}  // namespace

PathWorld::PathWorld(std::uint64_t seed)
    : machine_(seed),
      network_(machine_),
      config_(config_of(machine_.random(), seed % 5 == 2)),
      history_(machine_, patience_of(config_)),
      has_engine_(seed % 4 == 0),
      calm_(seed % 3 == 0),
      patient_(seed % 5 == 2),
      large_bodies_(seed % 6 == 1),
      churns_(seed % 7 == 3),
      slow_time_(patient_ ? 16s : 400ms) {
  Random& random = machine_.random();
  think_time_ = machine_.about(60ms);
  const std::uint64_t kinds = random.below(4);  // all servers of one kind, or mixed
  for (std::size_t i = 0; i < config_.endpoints.size(); ++i) {
    const auto kind = static_cast<Kind>(kinds < 3 ? kinds : random.below(3));
    servers_.push_back(std::make_unique<Upstream>(*this, kind));
    network_.add_host(fmt::format("10.0.1.{}", i + 1), 8000, *servers_.back());
  }
  history_.must_go_on = [this](const Call& call) { return must_go_on(call); };
  const std::uint64_t clients = 8 + random.below(24);
  for (unsigned i = 0; i < clients; ++i) clients_.push_back(std::make_unique<Client>(*this, i));
}

PathWorld::~PathWorld() = default;

void PathWorld::run() {
  const std::int64_t before = Memory::held();
  machine_.run([this] { program(); });
  if (const std::int64_t left = Memory::held() - before; left > kMostKept)
    history_.breach(fmt::format("I5: {} bytes of memory are left at the end", left));
  history_.sums().virtual_seconds =
      static_cast<std::uint64_t>(to_seconds(machine_.now().time_since_epoch())) - 3600;
}

void PathWorld::program() {
  const MemoryFile log;
  {
    Gateway gateway(config_, kRequestTimeout, log.path(), kPort);
    gateway_ = &gateway;
    if (has_engine_) gateway.loop.post([this] { gateway_->add_engine(machine_, history_); });
    machine_.in(100ms, [this] { begin_baseline(); });
    gateway.run();
    check_rest(gateway);
    const std::string metrics = gateway.metrics.serialize();
    check_deeds(metrics);
    check_counts(metrics);
    if (has_engine_) check_engine(gateway);
    gateway_ = nullptr;
  }
  machine_.block(nullptr, machine_.now() + 2s);  // messages under way arrive
  if (network_.descriptors() != 0)
    history_.breach(fmt::format("I5: {} descriptors are left", network_.descriptors()));
  const Memory::Outside checks;
  log_ = log.text();
  check_log();
}

void PathWorld::begin_baseline() {
  for (const auto& client : clients_) client->start();
  machine_.in(1s, [this] { good_before_ = history_.good(); });
  machine_.in(1s + kBaseline, [this] {
    baseline_ = static_cast<double>(history_.good() - good_before_) / to_seconds(kBaseline);
    loaded_ = false;
  });
  // No client asks, and connections to servers are over: only lasting memory is left.
  machine_.in(1s + kBaseline + kRest, [this] {
    memory_before_ = Memory::held();
    loaded_ = true;
    for (const auto& client : clients_) client->start();
    begin_faults();
  });
}

void PathWorld::begin_faults() {
  faulty_ = true;
  for (std::size_t i = 0; i < servers_.size(); ++i)
    machine_.in(machine_.about(1s), [this, i] { change_mood(i); });
  if (!calm_) machine_.in(machine_.about(5s), [this] { strike_all(); });
  machine_.in(machine_.about(2s), [this] { disturb(); });
  if (has_engine_) machine_.in(machine_.about(1s), [this] { disturb_engine(); });
  machine_.in(patient_ ? 4 * kFaults : kFaults, [this] { end_faults(); });
}

void PathWorld::change_mood(std::size_t server) {
  if (!faulty_ || (calm_ && server > 0)) return;
  Random& random = machine_.random();
  servers_[server]->set_mood(random.below(3) == 0 ? Mood::kWell : static_cast<Mood>(random.below(kMoods)));
  machine_.in(machine_.about(2s), [this, server] { change_mood(server); });
}

/// Strikes all servers at once: then many requests must be sent again at the same time.
void PathWorld::strike_all() {
  if (!faulty_) return;
  const auto mood = static_cast<Mood>(machine_.random().below(kMoods));
  for (const auto& server : servers_) server->set_mood(mood);
  machine_.in(machine_.about(5s), [this] { strike_all(); });
}

/// Disturbs the network and the clocks.
void PathWorld::disturb() {
  if (!faulty_) {
    network_.set_latency(300us);
    gateway_->change_members(config_);
    return;
  }
  Random& random = machine_.random();
  switch (random.below(churns_ ? 6 : 4)) {
    case 0:
      network_.set_latency(300us);
      break;
    case 1:
      network_.set_latency(15ms);
      break;
    case 2:
      machine_.set_wall_clock(random.below(2) == 0 ? -3600s : 3600s);
      break;
    case 3:
      machine_.stand_still(machine_.about(200ms));
      break;
    default:
      gateway_->change_members(config_, &random);
  }
  machine_.in(machine_.about(1s), [this] { disturb(); });
}

/// Disturbs the engine: its steps fail, prompts take long, it is taken out of the configuration and put back.
void PathWorld::disturb_engine() {
  if (!faulty_) return;
  const auto on_loop = [this](void (*change)(PathWorld& world)) {
    gateway_->loop.post([this, change] { change(*this); });
  };
  if (gateway_->stepper != nullptr) {
    switch (machine_.random().below(4)) {
      case 0:
        gateway_->stepper->fail_steps(1 + static_cast<std::uint32_t>(machine_.random().below(4)));
        break;
      case 1:
        gateway_->chat->prepare_for(200ms);
        break;
      case 2:
        gateway_->chat->prepare_for(2ms);
        break;
      default:
        on_loop([](PathWorld& world) { world.gateway_->retire_engine(); });
        for (const auto& client : clients_) client->leave_engine();
    }
    history_.fault();
  } else {
    on_loop([](PathWorld& world) { world.gateway_->add_engine(world.machine_, world.history_); });
  }
  machine_.in(machine_.about(1s), [this] { disturb_engine(); });
}

void PathWorld::end_faults() {
  faulty_ = false;
  // Requests wait for a server that fell silent as long as configured.
  const Duration recovery = kRecovery + (patient_ ? 45s : 0s);
  if (has_engine_) {
    gateway_->loop.post([this] {
      if (!gateway_->own) gateway_->add_engine(machine_, history_);
      gateway_->chat->prepare_for(2ms);
    });
  }
  for (const auto& server : servers_) server->set_mood(Mood::kWell);
  machine_.in(recovery, [this] { good_before_ = history_.good(); });
  machine_.in(recovery + kMeasured, [this] {
    const double now = static_cast<double>(history_.good() - good_before_) / to_seconds(kMeasured);
    if (now < 0.9 * baseline_)
      history_.breach(
          fmt::format("I9: {:.1f} good answers a second, {:.1f} before the faults", now, baseline_));
    loaded_ = false;
  });
  machine_.in(recovery + kMeasured + 100s, [this] { gateway_->loop.stop(); });
}

/// After a while without requests, all must be as before.
void PathWorld::check_rest(const Gateway& gateway) {
  if (history_.live() != 0) history_.breach(fmt::format("I1: {} requests are not over", history_.live()));
  const auto counts = gateway.server->counts();
  if (counts.open_connections != 0)
    history_.breach(fmt::format("I5: {} connections of clients are open", counts.open_connections));
  if (gateway.bodies->used() != 0 || gateway.answers->used() != 0)
    history_.breach(fmt::format("I5: {} bytes of requests and {} of answers count as held at rest",
                                gateway.bodies->used(), gateway.answers->used()));
  const std::int64_t more = Memory::held() - memory_before_;
  if (more > (has_engine_ ? kMostGrowthOfEngine : kMostGrowth))
    history_.breach(fmt::format("I5: {} bytes more are held at rest than before, {}", more, memory_before_));
  constexpr std::size_t kAtRest = 3;                       // the loop's two, and the listening socket
  if (network_.descriptors() > kAtRest + servers_.size())  // a health check may be under way
    history_.breach(fmt::format("I5: {} descriptors at rest", network_.descriptors()));
  for (const auto& view : gateway.pool->members()) {
    if (view.member.state->in_flight.load() != 0)
      history_.breach(fmt::format("I5: {} requests in flight at {} at rest",
                                  view.member.state->in_flight.load(), view.member.name()));
    if (!view.member.backup && view.breaker != gateway::CircuitBreaker::State::kClosed)
      history_.breach(fmt::format(
          "I6: the breaker of {} has not closed: state {}, {}, ejected for {:.3f} s, {} in flight",
          view.member.name(), static_cast<int>(view.breaker),
          view.member.state->health.well() ? "well" : "unwell", to_seconds(view.ejected_for),
          view.member.state->in_flight.load()));
  }
}

void PathWorld::check_engine(const Gateway& gateway) {
  const LoadReport load = gateway.own->load();
  if (load.running != 0 || load.waiting != 0 || load.kv_usage != 0)
    history_.breach(fmt::format("I5: the engine runs {}, queues {} and holds {:.3f} of its cache at rest",
                                load.running, load.waiting, load.kv_usage));
  const std::uint64_t generated =
      number_behind(gateway.metrics.serialize(), "vllm:generation_tokens_total{model_name=\"e\"} ");
  const auto& [least, most] = history_.generated();
  if (generated < least || generated > most)
    history_.breach(fmt::format("I8: {} tokens generated by the metric, clients know of {} to {}", generated,
                                least, most));
}

/// Whether all servers but one have been well for longer than a resume may have waited for an unhealthy one,
/// have room, and can continue the stream.
bool PathWorld::must_go_on(const Call& call) const {
  if (call.engine || call.tokens == 0 || churns_) return false;
  std::size_t well = 0;
  for (const auto& server : servers_) {
    const bool able = server->kind() == Kind::kOurs || server->kind() == servers_.front()->kind();
    if (!able || (call.chat && server->kind() == Kind::kOther)) return false;
    well += server->well_for() > idle_time() + 8s ? 1 : 0;
  }
  const auto has_bound = [](const cluster::EndpointSpec& endpoint) { return endpoint.max_connections > 0; };
  return well + 1 >= servers_.size() && std::ranges::none_of(config_.endpoints, has_bound);
}

/// I6: each request to a server is recorded once, with the right verdict.
void PathWorld::check_deeds(const std::string& metrics) {
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    const auto count = [&](std::string_view outcome) {
      return number_behind(
          metrics, fmt::format("autoglm_endpoint_attempts_total{{model=\"m\",endpoint=\"10.0.1.{}:8000\","
                               "outcome=\"{}\"}} ",
                               i + 1, outcome));
    };
    const Deeds& deeds = servers_[i]->deeds();
    const std::uint64_t blamed = count("failed") + count("timeout");
    const std::uint64_t known = blamed + count("ok") + count("refused");
    const std::uint64_t all = known + count("abandoned");
    const auto told = fmt::format(
        "server {} of {} requests, {} harmed, {} surely, {} hung, {} unheard; its books: {} failed, {} "
        "timeout, "
        "{} ok, {} refused, {} abandoned",
        i + 1, deeds.requests, deeds.harmed, deeds.sure, deeds.hung, deeds.unheard, count("failed"),
        count("timeout"), count("ok"), count("refused"), count("abandoned"));
    if (all < deeds.requests) history_.breach("I6: requests that are in no books: " + told);
    if (known > deeds.requests + deeds.unheard) history_.breach("I6: more verdicts than requests: " + told);
    if (count("failed") < deeds.sure || count("timeout") < deeds.hung)
      history_.breach("I6: failures that are in no books: " + told);
    if (!hedges() && blamed > deeds.harmed + deeds.unheard) history_.breach("I6: blame for nothing: " + told);
  }
}

/// I8: requests, retries and resumes, as clients and servers saw them.
void PathWorld::check_counts(const std::string& metrics) {
  const Sums& seen = history_.sums();
  const auto of_ending = [&](Ending ending) { return seen.by_ending[static_cast<std::size_t>(ending)]; };
  const std::uint64_t left = of_ending(Ending::kLeft) + of_ending(Ending::kNotTaken);
  for (std::size_t status = 200; status < seen.by_status.size(); ++status) {
    std::uint64_t told = seen.by_status[status];
    if (status == 200)
      told = of_ending(Ending::kWhole) + of_ending(Ending::kFinished) + of_ending(Ending::kErrorEvent);
    std::uint64_t counted = 0;
    for (const std::string_view route : {"/v1/completions", "/v1/chat/completions"})
      counted += number_behind(
          metrics, fmt::format("autoglm_http_requests_total{{route=\"{}\",code=\"{}\"}} ", route, status));
    if (counted < told || counted > told + left)
      history_.breach(
          fmt::format("I8: {} requests of status {} by the metric, clients know of {}, and {} left", counted,
                      status, told, left));
  }
  std::uint64_t unheard = 0;
  for (const auto& server : servers_) unheard += server->deeds().unheard;
  const std::uint64_t retries = number_behind(metrics, "autoglm_retries_total{model=\"m\"} ") +
                                number_behind(metrics, "autoglm_hedges_total{model=\"m\"} ");
  // A request may be over before it reaches a server.
  const std::uint64_t over = left + seen.by_status[504];
  if (retries < seen.retries || (!hedges() && retries > seen.retries + unheard + over))
    history_.breach(fmt::format("I8: {} retries by the metric, servers know of {}, {} were unheard", retries,
                                seen.retries, unheard));
  const std::uint64_t resumed = number_behind(metrics, "autoglm_resumes_total{model=\"m\",outcome=\"ok\"} ");
  if (resumed > history_.behind_breaks())
    history_.breach(
        fmt::format("I8: {} resumes by the metric, servers know of {}", resumed, history_.behind_breaks()));
}

/// I8: the access log says of a request what its client was told.
void PathWorld::check_log() {
  std::size_t seen = 0;
  for (std::size_t at = 0; at < log_.size();) {
    const std::size_t end = log_.find('\n', at);
    const auto line = std::string_view(log_).substr(at, end - at);
    at = end == std::string::npos ? log_.size() : end + 1;
    if (!line.contains("\"message\":\"request\"")) continue;
    const auto told = history_.told_usage().find(number_behind(line, "\"request_id\":\""));
    if (told == history_.told_usage().end()) continue;
    ++seen;
    const auto prompt = number_behind(line, "\"prompt_tokens\":");
    const auto completion = number_behind(line, "\"completion_tokens\":");
    const bool told_prompt = told->second.prompt != 0;
    if ((told_prompt && prompt != told->second.prompt) || completion != told->second.completion)
      history_.breach(fmt::format("I8: request {} was told {} and {} tokens, the log says {} and {}",
                                  told->first, told->second.prompt, told->second.completion, prompt,
                                  completion));
  }
  if (seen != history_.told_usage().size())
    history_.breach(fmt::format("I8: the log has {} of {} requests", seen, history_.told_usage().size()));
}

}  // namespace autoglm::simulation
