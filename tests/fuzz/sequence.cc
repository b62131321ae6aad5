// Sequences of actions of clients and servers, against a whole server in this process: connections that open,
// send pieces, and leave at any moment, in HTTP/1 and HTTP/2; in front of a fake endpoint, of an engine on
// the fake backend, or of a pool whose servers answer as the input says. For any input, answers are HTTP, and
// their bodies are JSON; nothing is left when all connections are gone.
//
// An input is a mode ('f' the fake, 'e' the engine, else the pool) and steps, each up to the next 0xFF: a
// letter and its bytes.
//   o      opens another connection, to which the following steps apply
//   0 … 3  selects the connection of that number
//   s      sends the rest of the step
//   h      opens HTTP/2
//   q, t   a completion over HTTP/2, a chat; the rest of the step is its body
//   e, c   the client closes its half; the client is gone
//   w      the fake's behaviour from now on, bits: refuses, fails after its text, hangs after it
//   u      the answer to the next connection to a server of the pool
//   p      a moment passes, for requests that wait before they retry
//   r      the models are configured anew, bits: no model, its second server only, one place per server
//   d      the server begins to drain
#include "engine/backends/llama/token_sampler.h"
#include "engine/engine.h"
#include "engine/testing/fake_backend.h"
#include "fuzzing.h"
#include "gateway/front/http/front.h"
#include "gateway/front/http/generation_routes.h"
#include "gateway/front/http/health_routes.h"
#include "gateway/front/http/load_routes.h"
#include "gateway/front/http/model_routes.h"
#include "gateway/front/http/welcome_routes.h"
#include "gateway/resilience/model_pool.h"
#include "gateway/routing/round_robin/round_robin_balancer.h"
#include "http/chunked.h"
#include "http/head_parser.h"
#include "http2_bytes.h"
#include "inference/testing/fake_endpoint.h"
#include "memory_connection.h"
#include "runtime/socket.h"
#include "runtime/testing/run_task.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <deque>
#include <string>
#include <vector>

namespace {

using namespace autoglm;
using namespace autoglm::gateway;
using namespace std::chrono_literals;
using fuzzing::Connection;
using fuzzing::expect;
using fuzzing::MemoryListener;

constexpr char kEndOfStep = '\xFF';
constexpr std::size_t kMostConnections = 4;
constexpr int kTurns = 20;  // turns of the loop after each step: enough for everything that need not wait

bool is_json(std::string_view text) {
  thread_local simdjson::dom::parser parser;
  return parser.parse(simdjson::padded_string(text)).error() == simdjson::SUCCESS;
}

/// Two upstream servers: each connection gets the next answer in the list, whole, once it has sent something,
/// and is then closed.
class Upstreams {
 public:
  Upstreams() {
    for (auto& each : listeners_) {
      each = TcpListener::create(EventLoop::current(), {"127.0.0.1", 0}).value();
      serving_.spawn(serve(*each));
    }
  }
  void answer(std::string_view bytes) { answers_.emplace_back(bytes); }
  std::string url(std::size_t i) const {
    return "http://127.0.0.1:" + std::to_string(listeners_.at(i)->port()) + "/v1";
  }

 private:
  Task<void> serve(TcpListener& listener) {
    while (true) {
      auto stream = co_await listener.accept();
      if (!stream) co_return;
      serving_.spawn(say(std::move(*stream)));
    }
  }
  Task<void> say(std::unique_ptr<ByteStream> stream) {
    std::array<char, 4096> buffer;
    if (!co_await stream->read_some(std::span<char>(buffer))) co_return;
    if (answers_.empty()) co_return;
    const std::string answer = std::move(answers_.front());
    answers_.pop_front();
    (void)co_await stream->write_all(std::string_view(answer));
  }

  std::array<std::unique_ptr<TcpListener>, 2> listeners_;
  std::deque<std::string> answers_;
  Scope serving_;
};

/// State that lives as long as the process.
struct World {
  EventLoop loop;
  BlockingPool names{1, 8};
  std::unique_ptr<observe::Logger> log = observe::Logger::create({.file = "/dev/null"}).value();
  observe::MetricRegistry metrics;
  BlockingPool preparation{1, 8};
  std::shared_ptr<engine::Engine> engine;  // made by the first input that needs it

  std::shared_ptr<engine::Engine> the_engine() {
    if (engine) return engine;
    engine = std::make_shared<engine::Engine>(
        "m", engine::EngineConfig{.max_sequences = 4, .max_waiting = 4},
        engine::Engine::Dependencies{.pool = preparation,
                                     .metrics = metrics,
                                     .log = *log,
                                     .load = engine::loader_of(engine::make_fake_backend()),
                                     .samplers = engine::make_token_sampler});
    return engine;
  }
};

PoolConfig pool_config(const Upstreams& upstreams, unsigned bits) {
  PoolConfig config;
  for (const std::size_t i : {0U, 1U}) {
    if (i == 0 && (bits & 2U) != 0) continue;
    config.endpoints.push_back({.url = upstreams.url(i), .max_connections = (bits & 4U) != 0 ? 1U : 0U});
  }
  config.queue.timeout = 500us;
  config.breaker.request_volume = 1'000'000;
  config.ejection.consecutive_failures = 0;
  config.retry = {.max_attempts = 3, .budget_percent = 100, .backoff = 100us, .max_backoff = 200us};
  return config;
}

/// One input's server, and its clients.
class Scene {
 public:
  enum class Mode : std::uint8_t { kFake, kEngine, kPool };

  Scene(World& world, Mode mode) : world_(world), mode_(mode) {
    clients_.reserve(world.loop);
    clients_.attach(world.loop, std::make_unique<http::Client>(world.names, nullptr));
    if (mode == Mode::kPool) upstreams_.emplace();
    configure(0);
    std::vector<Route> routes =
        generation_routes(pipeline_, {.ignored_fields = metrics_.counter("ignored", "")});
    for (auto more : {model_routes(pipeline_, "1"), health_routes(models_, readiness_),
                      load_routes(models_, std::nullopt), welcome_routes(models_, readiness_, {})})
      std::ranges::move(more, std::back_inserter(routes));
    front_ = std::make_unique<HttpFront>(std::move(routes), readiness_, metrics_, *world.log);
    server_ = std::make_unique<http::Server>(std::make_unique<MemoryListener>(queue_),
                                             http::ServerLimits{.body_bytes = 65'536, .compress_above = 2048},
                                             *front_);
    server_->start();
  }

  Task<void> play(std::string_view script) {
    while (!script.empty()) {
      const std::size_t end = script.find(kEndOfStep);
      co_await step(script.substr(0, end));
      if (end == std::string_view::npos) break;
      script.remove_prefix(end + 1);
    }
    for (const auto& client : connections_) leave(*client);
    for (int i = 0; i < 20'000 && server_->counts().open_connections > 0; ++i) {
      co_await turns();
      if (i > 20) co_await sleep_for(100us);
    }
    expect(server_->counts().open_connections == 0, "who has left holds nothing");
    expect(server_->counts().busy_connections == 0, "nobody works for who has left");
    expect(fake_.open_streams == 0, "every stream has an end");
    for (const auto& pool : pools_) {
      for (const auto& each : pool->members())
        expect(each.member.in_flight() == 0, "every attempt has an end");
    }
    if (mode_ == Mode::kEngine) co_await engine_rests();
    for (std::size_t i = 0; i < connections_.size(); ++i) check(sent_[i], connections_[i]->to_client.bytes);
    server_.reset();
    clients_.detach(world_.loop);
  }

 private:
  /// Like a reload: requests that began with the old models end with them.
  void configure(unsigned bits) {
    std::vector<ModelDirectory::Entry> entries;
    if (mode_ == Mode::kPool) {
      PoolConfig config = pool_config(*upstreams_, bits);
      auto factory = std::make_unique<HttpEndpointFactory>(endpoint_settings(config), clients_);
      pools_.push_back(ModelPool::create("m", std::move(config),
                                         {.factory = std::move(factory),
                                          .answer_memory = clients_.answer_memory(),
                                          .metrics = metrics_,
                                          .log = *world_.log,
                                          .balancer = make_round_robin,
                                          .records = records_,
                                          .loops = 1,
                                          .request_timeout = 30s,
                                          .find_model = [](const std::string&) { return nullptr; }})
                           .value());
      pools_.back()->take_effect();
      entries.push_back({.name = "m", .endpoint = pools_.back()});
    } else if (mode_ == Mode::kEngine) {
      entries.push_back({.name = "m", .endpoint = world_.the_engine()});
    } else {
      entries.push_back({.name = "m", .endpoint = unowned(fake_)});
    }
    if ((bits & 1U) != 0) entries.clear();
    models_.set(std::make_shared<const ModelDirectory>(std::move(entries)));
    models_.refresh(0);
  }
  Task<void> engine_rests() {
    const auto idle = [this] {
      const LoadReport load = world_.engine->load();
      return load.running == 0 && load.waiting == 0;
    };
    const auto until = std::chrono::steady_clock::now() + 8s;
    while (!idle() && std::chrono::steady_clock::now() < until) co_await sleep_for(100us);
    const LoadReport load = world_.engine->load();
    if (idle()) co_return;
    std::fprintf(stderr, "%u run, %u wait, %f of the cache\n", load.running, load.waiting, load.kv_usage);
    expect(false, "the engine works for nobody");
  }

  static Task<void> turns() {
    for (int i = 0; i < kTurns; ++i) co_await yield_to_loop();
  }
  static void leave(Connection& connection) {
    connection.gone = true;
    connection.to_server.end();
  }

  Task<void> step(std::string_view text) {
    if (text.empty()) co_return;
    const char letter = text.front();
    text.remove_prefix(1);
    if (letter == 'o' && connections_.size() < kMostConnections) {
      at_ = connections_.size();
      connections_.push_back(MemoryListener::connect(*queue_));
      sent_.emplace_back();
      streams_.push_back(1);
    } else if (letter >= '0' && letter <= '3') {
      at_ = static_cast<std::size_t>(letter - '0');
    } else if (letter == 'w') {
      const unsigned bits = text.empty() ? 0U : static_cast<unsigned char>(text.front());
      const Error error{.code = ErrorCode::kUnavailable, .message = "as it was told"};
      fake_.refuse_with = (bits & 1U) != 0 ? std::optional(error) : std::nullopt;
      fake_.fail_after_words = (bits & 2U) != 0 ? std::optional(error) : std::nullopt;
      fake_.hang_after_words = (bits & 4U) != 0;
    } else if (letter == 'u' && upstreams_) {
      upstreams_->answer(text);
    } else if (letter == 'p') {
      co_await sleep_for(300us);
    } else if (letter == 'r') {
      configure(text.empty() ? 0U : static_cast<unsigned char>(text.front()));
    } else if (letter == 'd') {
      readiness_.begin_drain();
      server_->drain();
    } else if (at_ < connections_.size()) {
      act(letter, text);
    }
    co_await turns();
  }

  void act(char letter, std::string_view text) {
    Connection& connection = *connections_[at_];
    if (connection.to_server.over) return;
    const auto send = [&](std::string_view bytes) {
      sent_[at_] += bytes;
      connection.to_server.send(bytes);
    };
    const auto next_stream = [&] { return std::exchange(streams_[at_], streams_[at_] + 2); };
    if (letter == 's') {
      send(text);
    } else if (letter == 'h') {
      send(fuzzing::http2_opening());
    } else if (letter == 'q') {
      send(fuzzing::http2_request(next_stream(), "/v1/completions", text));
    } else if (letter == 't') {
      send(fuzzing::http2_request(next_stream(), "/v1/chat/completions", text));
    } else if (letter == 'e') {
      connection.to_server.end();
    } else if (letter == 'c') {
      leave(connection);
    }
  }

  /// `answers` is what a client received after sending `sent`: complete answers, except perhaps the last.
  void check(std::string_view sent, std::string_view answers) const {
    if (sent.starts_with("PRI")) return check_frames(answers);
    if (sent.find("HEAD") != std::string_view::npos) return;  // their Content-Length has no body after it
    while (!answers.empty()) {
      const std::size_t end = answers.find("\r\n\r\n");
      if (end == std::string_view::npos) return;
      http::ResponseHead head;
      const auto parsed =
          http::parse_response_head(std::string(answers.substr(0, end + 4)), "GET", http::HeadLimits(), head);
      expect(parsed.has_value(), "an answer has a head");
      answers.remove_prefix(end + 4);
      if (head.status / 100 == 1) continue;
      std::string body;
      bool whole = true;
      if (head.framing.kind == http::BodyFraming::Kind::kChunked) {
        http::ChunkedDecoder decoder;
        const auto used = decoder.decode(answers, body);
        expect(used.has_value(), "an answer's chunks are chunks");
        whole = decoder.done();
        answers.remove_prefix(*used);
      } else {
        const auto length =
            static_cast<std::size_t>(std::min<std::uint64_t>(head.framing.length, answers.size()));
        whole = length == head.framing.length;
        body = answers.substr(0, length);
        answers.remove_prefix(length);
      }
      const std::string_view type = head.headers.find("content-type").value_or("");
      if (type == "application/json" && whole && !head.headers.find("content-encoding") && !upstreams_)
        expect(is_json(body), "a JSON answer is JSON");
      if (type.starts_with("text/event-stream")) check_events(body);
    }
  }

  /// The request may also have been refused in HTTP/1, before the switch to HTTP/2.
  static void check_frames(std::string_view answers) {
    if (answers.starts_with("HTTP/1.1 ")) return;
    for (bool first = true; answers.size() >= 9; first = false) {
      const auto byte = [&](std::size_t i) { return std::size_t{static_cast<unsigned char>(answers[i])}; };
      const std::size_t length = byte(0) << 16U | byte(1) << 8U | byte(2);
      expect(length <= 16'384 && byte(3) <= 9, "a frame is one that HTTP/2 knows");
      expect(!first || byte(3) == 4, "SETTINGS come first");
      answers.remove_prefix(std::min(answers.size(), 9 + length));
    }
  }

  static void check_events(std::string_view body) {
    for (std::size_t end; (end = body.find("\n\n")) != std::string_view::npos;) {
      const std::string_view event = body.substr(0, end);
      body.remove_prefix(end + 2);
      if (event.starts_with(':') || event.find("\r") != std::string_view::npos) continue;
      const std::size_t data = event.find("data:");
      if (data == std::string_view::npos || event.find("data:", data + 1) != std::string_view::npos) continue;
      const std::string_view json = event.substr(data + 5);
      expect(json.find("[DONE]") != std::string_view::npos || is_json(json.substr(0, json.find('\n'))),
             "an event is JSON");
    }
  }

  World& world_;
  const Mode mode_;
  observe::MetricRegistry metrics_;
  EndpointRecords records_{metrics_, "m"};
  HttpClients clients_;
  FakeEndpoint fake_{"m"};
  std::optional<Upstreams> upstreams_;
  std::vector<std::shared_ptr<ModelPool>> pools_;  // the last one is current
  LiveDirectory models_{1};
  Pipeline pipeline_{models_};
  Readiness readiness_;
  std::unique_ptr<HttpFront> front_;
  std::shared_ptr<MemoryListener::Queue> queue_ = std::make_shared<MemoryListener::Queue>();
  std::vector<std::shared_ptr<Connection>> connections_;
  std::vector<std::string> sent_;
  std::vector<std::uint32_t> streams_;  // each connection's next stream in HTTP/2
  std::size_t at_ = 0;
  std::unique_ptr<http::Server> server_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  static World world;
  const std::string_view input = autoglm::fuzzing::text_of(data, size);
  run_task(world.loop, [](World& in, std::string_view text) -> Task<void> {
    Scene scene(in, text.front() == 'f'   ? Scene::Mode::kFake
                    : text.front() == 'e' ? Scene::Mode::kEngine
                                          : Scene::Mode::kPool);
    co_await scene.play(text.substr(1));
  }(world, input));
  return 0;
}
