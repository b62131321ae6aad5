#include "upstream.h"

#include "fate.h"
#include "http/head_parser.h"
#include "path_world.h"
#include "upstream_answers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>
#include <vector>

namespace autoglm::simulation {

using namespace std::chrono_literals;

namespace {

constexpr std::string_view kFailedBody =
    R"({"error":{"message":"out of memory","type":"server_error","code":"oops"}})";
constexpr std::string_view kBusyBody =
    R"({"error":{"message":"slow down","type":"rate_limit","code":"rate"}})";

}  // namespace

/// One connection: requests one after another.
class Upstream::Conversation final : public Peer, public std::enable_shared_from_this<Conversation> {
 public:
  Conversation(Upstream& upstream, std::shared_ptr<Link> link)
      : upstream_(upstream), link_(std::move(link)) {}

  std::shared_ptr<Conversation> self;  // while the connection exists

  void received(Link& /*link*/, std::string_view bytes) override {
    buffer_ += bytes;
    read_next();
  }
  void ended(Link& link) override {
    check_patience();
    link.close();
    leave();
  }
  void broken(Link& /*link*/) override {
    check_patience();
    leave();
  }

 private:
  using Time = Duration;

  void leave() {
    if (order_ && !begun_) upstream_.world_.history().answered(order_->id, retry_);
    if (order_ && silent_) judge_silence();
    order_.reset();
    ++turn_;
    link_->forget();
    self.reset();
  }

  void read_next() {
    if (busy_) return;
    const std::size_t end = buffer_.find("\r\n\r\n");
    if (end == std::string::npos) return;
    http::Request request;
    if (!http::parse_request_head(buffer_.substr(0, end + 4), {}, request)) {
      upstream_.world_.history().breach("a server was sent a broken head");
      return;
    }
    const std::size_t length = request.framing.length;
    if (buffer_.size() < end + 4 + length) {
      const bool impatient = upstream_.mood_ == Mood::kRude || upstream_.mood_ == Mood::kBusy;
      if (impatient && length > 20'000)
        answer_early(std::stoull(std::string(request.headers.find("x-request-id").value_or("0"))));
      return;
    }
    const std::string body = buffer_.substr(end + 4, length);
    buffer_.erase(0, end + 4 + length);
    busy_ = true;
    if (request.method == "GET") return page(request.path);
    work(order_of(request.path, body, request.headers.find("x-request-id").value_or("0")));
  }

  /// Answers early, reads nothing more, and closes after the client had time to read the answer.
  void answer_early(std::uint64_t id) {
    History& history = upstream_.world_.history();
    busy_ = true;
    // The place to continue from is in the unread rest of the request.
    const Call* call = history.find(id);
    begin({.id = id, .said = call == nullptr ? 0 : call->tokens});
    history.fault();
    link_->read(false);
    if (upstream_.mood_ == Mood::kBusy) {
      respond(with_length(429, kBusyBody, "Connection: close\r\nRetry-After: 1\r\n"));
    } else if (upstream_.world_.machine().random().below(3) == 0) {
      harm();
      history.loses(id);
      respond(with_length(401, kFailedBody, "Connection: close\r\n"));
    } else {
      history.objects(id, 413);
      respond(with_length(
          413, R"({"error":{"message":"too large","type":"invalid_request_error","code":"too_large"}})",
          "Connection: close\r\n"));
    }
    close(500ms);
  }

  void page(std::string_view path) {
    const bool well = upstream_.mood_ != Mood::kFailing;
    const auto answer = [this](int status, std::string_view body) {
      later(upstream_.world_.machine().about(1ms), [this, text = with_length(status, body)] {
        link_->send(text);
        next();
      });
    };
    if (upstream_.mood_ == Mood::kHanging && upstream_.world_.machine().random().below(2) == 0) return;
    if (path == "/health") return answer(well ? 200 : 503, "{}");
    if (path == "/version" && upstream_.kind_ != Kind::kOther)
      return answer(200, upstream_.kind_ == Kind::kOurs ? R"({"server":"open-autoglm","version":"1"})"
                                                        : R"({"version":"1"})");
    if (path == "/metrics") return answer(200, "vllm:num_requests_running 0\nvllm:num_requests_waiting 0\n");
    answer(404, "{}");
  }

  void begin(Order order) {
    order_ = order;
    begun_ = silent_ = false;
    arrived_ = spoke_ = upstream_.world_.machine().now();
    ++upstream_.deeds_.requests;
    const Call* call = upstream_.world_.history().find(order.id);
    steady_ = call != nullptr && !call->may_leave && call->own_time == Duration::max();
    sent_ = call == nullptr ? arrived_ : call->sent;
    first_ = call != nullptr && call->attempts == 0;
    retry_ = upstream_.world_.history().arrives(order.id, order.said, order.exact || order.said > 0);
  }

  void work(const Order& order) {
    begin(order);
    Machine& machine = upstream_.world_.machine();
    const Fate what = fate(machine.random(), upstream_.mood_);
    if (what != Fate::kAnswers) upstream_.world_.history().fault();
    if (what == Fate::kAnswersSlowly) ++upstream_.deeds_.harmed;  // too slowly when the clock leaps
    const Time think = machine.about(what == Fate::kAnswersSlowly ? upstream_.world_.slow_time() : 15ms);
    later(think, [this, what] { act(what); });
  }

  void act(Fate what) {
    switch (what) {
      case Fate::kSilent:
        ++upstream_.deeds_.harmed;
        silent_ = true;
        return;  // the gateway gives up
      case Fate::kResetsUnread:
        harm();
        return cut(true);
      case Fate::kEndsUnread:
        harm();
        return cut(false);
      case Fate::kStatus500:
        harm();
        return refuse(500, kFailedBody);
      case Fate::kStatus503:
        harm();
        return refuse(503, kFailedBody, "Retry-After: 1\r\n");
      case Fate::kStatus429:
        return refuse(429, kBusyBody, "Retry-After: 1\r\n");
      case Fate::kMisconfigured:
        harm();
        upstream_.world_.history().loses(order_->id);
        return refuse_ours();
      case Fate::kStatus400:
        // For a continuation, that says nothing about the client's own body.
        if (!order_->exact && order_->said == 0) upstream_.world_.history().objects(order_->id, 400);
        return refuse(400,
                      R"({"error":{"message":"bad field","type":"invalid_request_error","param":"seed"}})");
      default:
        return answer(what);
    }
  }

  /// Counts a failure of the server, and whether it is certainly the server's alone.
  void harm() {
    ++upstream_.deeds_.harmed;
    PathWorld& world = upstream_.world_;
    const bool in_time = order_->stream || world.machine().now() - sent_ < PathWorld::kRequestTimeout * 4 / 5;
    const bool alone = !world.hedges();
    if (steady_ && in_time && alone && world.history().find(order_->id) != nullptr) ++upstream_.deeds_.sure;
  }

  /// The gateway must not give up on a first token before its time, unless the client has left or another
  /// server was faster.
  void check_patience() {
    PathWorld& world = upstream_.world_;
    if (!order_ || begun_ || !steady_ || !order_->stream || world.hedges()) return;
    const Duration waited = world.machine().now() - arrived_;
    if (world.history().find(order_->id) != nullptr && waited < world.first_token_time() - 500ms)
      world.history().breach(fmt::format("I3: a server is given up on after {:.3f} s, for request {}",
                                         to_seconds(waited), order_->id));
  }

  /// The gateway has given up on a server that said nothing, or nothing more.
  void judge_silence() {
    PathWorld& world = upstream_.world_;
    const MonotonicTime now = world.machine().now();
    if (!steady_) return;
    if (order_->stream) {
      const bool outpaced = world.hedges() && first_ && !begun_;
      const Duration patience = begun_ ? world.idle_time() : world.first_token_time();
      if (outpaced || now - spoke_ >= patience) ++upstream_.deeds_.hung;
    } else if (arrived_ - sent_ < PathWorld::kRequestTimeout * 2 / 5 &&
               now - sent_ >= PathWorld::kRequestTimeout) {
      ++upstream_.deeds_.hung;
    }
  }

  /// Refuses with an error that is the gateway's fault, or that of the server's setup.
  void refuse_ours() {
    constexpr std::array kStatuses = {401, 403, 404, 404, 404, 405, 501};
    const int status = kStatuses.at(upstream_.world_.machine().random().below(kStatuses.size()));
    if (status != 404) return refuse(status, kFailedBody);
    refuse(404, order_->chat ? R"({"error":{"message":"no such model","code":"model_not_found"}})"
                             : R"({"detail":"Not Found"})");
  }

  void refuse(int status, std::string_view body, std::string_view headers = "") {
    respond(with_length(status, body, headers));
    next();
  }

  void answer(Fate what) {
    std::vector<std::string> pieces =
        order_->stream ? stream_pieces(*order_) : std::vector<std::string>{whole_answer(*order_)};
    bad_ = pieces.size();
    if (what >= Fate::kFallsSilent && what <= Fate::kErrorEvent) spoil(pieces, what);
    say(std::move(pieces), 0, what);
  }

  /// Breaks the answer somewhere.
  void spoil(std::vector<std::string>& pieces, Fate what) {
    Random& random = upstream_.world_.machine().random();
    upstream_.world_.history().breaks(order_->id);
    const bool stream = order_->stream;
    bad_ = stream ? 1 + random.below(pieces.size() - 1) : 0;
    if (what == Fate::kGarbage) {
      pieces[bad_] = stream ? chunk("data: {\"choices\":[{]}\n\n") : with_length(200, "<html>");
    } else if (what == Fate::kErrorEvent) {
      constexpr std::string_view kError = R"({"error":{"message":"cuda","type":"server_error"}})";
      pieces[bad_] = stream ? chunk(fmt::format("data: {}\n\n", kError)) : with_length(200, kError);
    } else if (stream) {
      pieces.resize(bad_);
    } else {
      pieces.front().resize(pieces.front().size() / 2);
      bad_ = 1;
    }
  }

  void say(std::vector<std::string> pieces, std::size_t index, Fate what) {
    const bool spoilt = what >= Fate::kFallsSilent && what <= Fate::kErrorEvent;
    if (spoilt && index == bad_ && what != Fate::kFallsSilent) harm();
    if (index < pieces.size()) {
      respond(pieces[index]);
      later(upstream_.world_.machine().about(what == Fate::kAnswersSlowly ? 60ms : 6ms),
            [this, pieces = std::move(pieces), index, what]() mutable {
              say(std::move(pieces), index + 1, what);
            });
      return;
    }
    switch (what) {
      case Fate::kFallsSilent:
        ++upstream_.deeds_.harmed;
        silent_ = true;
        return;
      case Fate::kCloses:  // perhaps as the next request comes
        ++upstream_.deeds_.unheard;
        return cut(false);
      case Fate::kSaysMore:
        if (buffer_.empty()) link_->send_unasked(whole_answer(*order_));
        return next();
      default:
        // A complete HTTP answer, whatever is in it, leaves the connection open for the next request.
        if (!order_->stream && (what == Fate::kGarbage || what == Fate::kErrorEvent))
          ++upstream_.deeds_.unheard;
        return spoilt ? cut(what == Fate::kResets) : next();
    }
  }

  void respond(std::string bytes) {
    if (!std::exchange(begun_, true)) upstream_.world_.history().answered(order_->id, retry_);
    spoke_ = upstream_.world_.machine().now();
    link_->send(std::move(bytes));
  }

  /// Ends the connection, in the middle of an answer or not.
  void cut(bool reset) {
    if (order_ && !begun_) upstream_.world_.history().loses(order_->id);
    if (reset) {
      link_->reset();
    } else {
      link_->close();
    }
    leave();
  }

  void close(Time after) {
    later(after, [this] {
      link_->close();
      leave();
    });
  }

  void next() {
    order_.reset();
    busy_ = false;
    ++turn_;
    read_next();
  }

  /// Later, unless this turn has ended by then.
  void later(Time time, std::move_only_function<void()> step) {
    upstream_.world_.machine().in(
        time, [self = shared_from_this(), turn = turn_, step = std::move(step)]() mutable {
          if (self->turn_ == turn) step();
        });
  }

  Upstream& upstream_;
  std::shared_ptr<Link> link_;
  std::string buffer_;
  std::optional<Order> order_;
  bool busy_ = false;
  bool begun_ = false;
  bool retry_ = false;
  bool silent_ = false;
  bool steady_ = false;  // its client neither leaves nor has a limit of its own
  bool first_ = false;   // no server was asked before
  std::size_t bad_ = 0;  // the piece at which it breaks
  MonotonicTime sent_;
  MonotonicTime arrived_;
  MonotonicTime spoke_;
  std::uint64_t turn_ = 0;
};

Upstream::Upstream(PathWorld& world, Kind kind)
    : world_(world), kind_(kind), mood_since_(world.machine().now()) {}

void Upstream::set_mood(Mood mood) {
  if (mood != mood_) mood_since_ = world_.machine().now();
  mood_ = mood;
}

Duration Upstream::well_for() const {
  return mood_ == Mood::kWell ? world_.machine().now() - mood_since_ : Duration::zero();
}

Welcome Upstream::welcome() {
  if (mood_ == Mood::kGone || mood_ == Mood::kUnreachable) ++deeds_.unheard;
  if (mood_ == Mood::kGone) return Welcome::kRefuses;
  return mood_ == Mood::kUnreachable ? Welcome::kSaysNothing : Welcome::kAccepts;
}

Peer& Upstream::accept(const std::shared_ptr<Link>& link) {
  auto conversation = std::make_shared<Conversation>(*this, link);
  conversation->self = conversation;
  return *conversation;
}

}  // namespace autoglm::simulation
