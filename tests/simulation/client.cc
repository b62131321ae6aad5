#include "client.h"

#include "path_world.h"
#include "simulated_engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace autoglm::simulation {

using namespace std::chrono_literals;

namespace {

std::string body_of(const Call& call) {
  std::string filler;
  if (call.large) filler.assign(100'000, 'x');
  const std::string prompt = fmt::format("{}c{}:", filler, call.id);
  std::string body = call.chat ? fmt::format(R"({{"messages":[{{"role":"user","content":"{}"}}])", prompt)
                               : fmt::format(R"({{"prompt":"{}")", prompt);
  body += fmt::format(R"(,"model":"{}","max_tokens":{})",
                      call.engine ? R"(e","temperature":0,"user":")" : "m", call.max_tokens);
  if (call.stream) body += R"(,"stream":true)";
  if (call.wants_usage) body += R"(,"stream_options":{"include_usage":true})";
  return body + "}";
}

void write_expected(Call& call) {
  if (!call.engine) {
    for (std::uint32_t i = 0; i < call.max_tokens; ++i) call.expected += token_text(call.id, i);
    return;
  }
  const std::string own = fmt::format("c{}:", call.id);
  const std::string prompt = call.chat ? "user: " + own + "\nassistant: " : own;
  call.prompt_tokens = static_cast<std::uint32_t>(prompt.size());
  call.expected = fake_answer(prompt, call.max_tokens);
}

}  // namespace

Client::Client(PathWorld& world, unsigned number)
    : world_(world), number_(number), address_(fmt::format("10.1.0.{}", number % 250 + 1)) {}

void Client::start() {
  world_.machine().in(world_.machine().about(50ms), [this] { ask(); });
}

void Client::ask() {
  if (!world_.loaded()) {
    if (link_) link_->close();
    link_.reset();
    return;
  }
  Random& random = world_.machine().random();
  Call call{.id = world_.next_id(), .chat = random.below(2) == 0, .stream = random.below(3) != 0};
  const bool first =
      call.id <= 4;  // these have long texts, so that all buffers grow before memory is measured
  if (first) call.chat = call.id % 2 == 0;
  call.wants_usage = call.stream && random.below(2) == 0;
  call.engine = world_.has_engine() && !first && random.below(2) == 0;
  call.large = !call.engine && (first || random.below(world_.has_large_bodies() ? 12 : 200) == 0);
  call.max_tokens = random.below(12) == 0 ? 40 : 1 + static_cast<std::uint32_t>(random.below(6));
  if (random.below(12) == 0) call.own_time = 60ms + world_.machine().about(100ms);
  write_expected(call);
  call_ = call.id;
  streamed_ = call.stream;
  call.may_leave = world_.faulty() && random.below(12) == 0;
  if (call.may_leave) world_.machine().in(world_.machine().about(60ms), [this, id = call.id] { leave(id); });
  send(world_.history().sends(std::move(call)));
}

void Client::send(const Call& call) {
  Random& random = world_.machine().random();
  if (!link_ || !link_->open()) {
    answers_ = 0;
    buffer_.clear();
    link_ = world_.network().dial(PathWorld::kPort, *this, address_);
  }
  const std::string body = body_of(call);
  std::string text = fmt::format(
      "POST {} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer tenant{}\r\nX-Request-Id: {}\r\n"
      "Content-Type: application/json\r\nContent-Length: {}\r\n",
      call.chat ? "/v1/chat/completions" : "/v1/completions", number_, call.id, body.size());
  if (call.own_time != Duration::max())
    text += fmt::format("X-Autoglm-Timeout-Ms: {}\r\n", call.own_time / 1ms);
  text += "\r\n" + body;
  link_->send(std::move(text));
  if (world_.faulty() && random.below(40) == 0) {  // reads slowly
    link_->read(false);
    world_.machine().in(world_.machine().about(300ms), [link = link_] { link->read(true); });
  }
}

/// Leaves in one of several ways.
void Client::leave(std::uint64_t id) {
  Call* call = world_.history().find(id);
  if (call_ != id || call == nullptr) return;
  world_.history().ends(*call, Ending::kLeft);
  switch (world_.machine().random().below(3)) {
    case 0:
      link_->close();
      break;
    case 1:
      link_->reset();
      break;
    default:
      link_->end();
  }
  link_->forget();
  link_.reset();
  over();
}

void Client::leave_engine() {
  const Call* call = call_ ? world_.history().find(*call_) : nullptr;
  if (call != nullptr && call->engine) leave(call->id);
}

void Client::received(Link& link, std::string_view bytes) {
  if (&link != link_.get()) return;
  buffer_ += bytes;
  if (!call_) {
    world_.history().breach(fmt::format("I4: a client that has asked nothing is sent {}", bytes));
    return;
  }
  read_more();
}

void Client::ended(Link& link) {
  if (&link == link_.get()) cut();
}

void Client::broken(Link& link) {
  if (&link == link_.get()) cut();
}

/// The connection is over: allowed between two answers, and on a used connection also instead of an answer.
void Client::cut() {
  if (link_->open()) link_->close();
  link_->forget();
  link_.reset();
  if (!call_) return;
  if (Call* call = world_.history().find(*call_); call != nullptr) {
    const bool nothing = !head_ && buffer_.empty();
    if (!nothing || answers_ == 0)
      world_.history().breach(
          fmt::format("I1: the connection of request {} ends without an outcome", call->id));
    world_.history().ends(*call, Ending::kNotTaken);
  }
  over();
}

/// Reads also after the outcome, where nothing but the end of the message may come.
void Client::read_more() {
  while (call_) {
    if (!head_ && !read_head()) return;
    using Kind = http::BodyFraming::Kind;
    bool done = false;
    if (head_->framing.kind == Kind::kChunked) {
      const auto used = chunks_.decode(buffer_, body_);
      if (!used) return world_.history().breach("I2: the chunks of an answer are broken");
      buffer_.erase(0, *used);
      done = chunks_.done();
    } else {
      const std::size_t length = head_->framing.length;
      const std::size_t step = std::min(length - body_.size(), buffer_.size());
      body_.append(buffer_, 0, step);
      buffer_.erase(0, step);
      done = body_.size() == length;
    }
    const bool events = head_->status == 200 && streamed_;
    if (events) read_events(*call_);
    if (!done) return;
    if (Call* call = world_.history().find(*call_); call != nullptr) {
      if (events) {
        world_.history().breach(
            fmt::format("I1: the stream of request {} is over without an outcome", *call_));
        world_.history().ends(*call, Ending::kErrorEvent);
      } else {
        whole(*call);
      }
    }
    if (!buffer_.empty()) world_.history().breach(fmt::format("I4: more than the answer came: {}", buffer_));
    if (!head_->keep_alive) leave_link();
    ++answers_;
    over();
  }
}

void Client::leave_link() {
  link_->close();
  link_->forget();
  link_.reset();
}

bool Client::read_head() {
  const std::size_t end = buffer_.find("\r\n\r\n");
  if (end == std::string::npos) return false;
  head_.emplace();
  auto parsed = http::parse_response_head(buffer_.substr(0, end + 4), "POST", {}, *head_);
  buffer_.erase(0, end + 4);
  if (!parsed) world_.history().breach("I2: the head of an answer is broken");
  chunks_ = {};
  body_.clear();
  return parsed.has_value();
}

void Client::read_events(std::uint64_t id) {
  while (true) {
    const std::size_t end = body_.find("\n\n");
    if (end == std::string::npos) return;
    std::string event = body_.substr(0, end);
    body_.erase(0, end + 2);
    while (event.starts_with(":")) event.erase(0, std::min(event.find('\n'), event.size() - 1) + 1);
    if (event.empty()) continue;
    Call* live = world_.history().find(id);
    if (live == nullptr) {
      world_.history().breach(fmt::format("I1: more comes behind the outcome of request {}: {}", id, event));
      return;
    }
    world_.history().event(*live, std::string_view(event).substr(6));
  }
}

void Client::whole(Call& call) {
  if (head_->status == 200) return world_.history().answer(call, body_);
  world_.history().refusal(call, head_->status, head_->headers.find("retry-after").value_or(""), body_);
}

/// Thinks, and asks again.
void Client::over() {
  call_.reset();
  head_.reset();
  Random& random = world_.machine().random();
  if (link_ && random.below(10) == 0) leave_link();
  world_.machine().in(world_.machine().about(world_.think_time()), [this] { ask(); });
}

}  // namespace autoglm::simulation
