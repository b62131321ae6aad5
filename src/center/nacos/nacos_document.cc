#include "center/nacos/nacos_document.h"

#include "base/json_string.h"
#include "base/random.h"
#include "base/redact.h"
#include "cluster/registries/retry_delay.h"
#include "http/message.h"
#include "runtime/event_loop.h"
#include "runtime/race.h"

#include <fmt/format.h>

#include <utility>

namespace autoglm::center {

namespace {

using cluster::NacosChannel;
using cluster::NacosText;

constexpr Duration kHeldBack = std::chrono::seconds(30);
// A member whose pushes are lost is asked after this time.
constexpr Duration kCompared = std::chrono::seconds(30);

// An answer that was held back for less was not held back.
constexpr Duration kAtOnce = std::chrono::seconds(1);

bool has_no_api(int status) { return status == 405 || status == 410 || status == 501; }

}  // namespace

config::Descriptor<NacosDocumentConfig> describe_nacos_document() {
  using C = NacosDocumentConfig;
  return config::Descriptor<C>("nacos", "A data id of Nacos' configuration center, 1.x to 3.x.")
      .include(&C::access, cluster::describe_nacos_access())
      .field("group", &C::group, {.doc = "Its group.", .min = 1})
      .field("data_id", &C::data_id, {.doc = "Its name.", .min = 1})
      .field("interval", &C::interval,
             {.doc = "How often it is asked for over HTTP where Nacos tells of no changes (v3).",
              .min = 1,
              .max = 600});
}

std::string asks(const NacosDocumentConfig& config) {
  return fmt::format("{} for {} in group {}, namespace {}", without_secrets(config.access.urls().front()),
                     config.data_id, config.group, config.access.name_space);
}

NacosDocument::NacosDocument(const NacosDocumentConfig& config, std::unique_ptr<NacosChannel> nacos)
    : config_(config),
      nacos_(std::move(nacos)),
      name_(fmt::format("nacos {} {} {}", config.access.name_space, config.group, config.data_id)),
      tenant_(config.access.name_space == "public" ? "" : config.access.name_space) {}

Result<std::unique_ptr<Document>> NacosDocument::create(const NacosDocumentConfig& config,
                                                        http::Client& client, BlockingPool& names) {
  auto made = NacosChannel::create(config.access, "config", client, names);
  if (!made) return fail(std::move(made).error());
  return std::unique_ptr<Document>(new NacosDocument(config, std::move(*made)));
}

/// Whether the answer is one: a text, or that there is none.
bool NacosDocument::take(DocumentSink& sink, Result<NacosText> text) {
  if (!text) {
    if (text.error().code != ErrorCode::kNotFound) return false;
    last_.reset();
    Error error = std::move(text).error();
    error.message = fmt::format("Nacos has no {} in group {}, namespace {}", config_.data_id, config_.group,
                                config_.access.name_space);
    if (!std::exchange(missing_, true)) sink.fail(error);
    return true;
  }
  missing_ = false;
  Version version{.text = std::move(text->text),
                  .version = text->md5.empty() ? cluster::md5_of(text->text) : std::move(text->md5)};
  if (last_ == version) return true;
  last_ = version;
  sink.push(std::move(version));
  return true;
}

/// Errors: why the connection has ended.
Task<Result<void>> NacosDocument::follow(DocumentSink& sink) {
  auto connection = co_await nacos_->connect();
  if (!connection) co_return fail(std::move(connection).error());
  const std::string named =
      cluster::nacos_json({{"dataId", config_.data_id}, {"group", config_.group}, {"tenant", tenant_}});
  cluster::RetryDelay pause;
  for (bool first = true;; first = false) {
    Result<NacosText> text = fail(Error{});
    const std::string before = md5();
    if (auto answer = co_await nacos_->ask(**connection, {.type = "ConfigQueryRequest", .body = named})) {
      text = cluster::read_nacos_text(*answer);
    } else {
      text = fail(std::move(answer).error());
    }
    if (Error error = text ? Error{} : text.error(); !take(sink, std::move(text)))
      co_return fail(std::move(error));
    // A server that always says "changed" is not asked without a pause.
    if (!first && before == md5()) {
      co_await sleep_for(pause.next(thread_random()));
    } else {
      pause.reset();
    }
    // What has changed since is in the answer to this; what changes later is pushed.
    while (true) {
      auto heard = co_await nacos_->ask(
          **connection, {.type = "ConfigBatchListenRequest",
                         .body = fmt::format(R"({{"listen":true,"configListenContexts":[{}]}})",
                                             cluster::nacos_json({{"dataId", config_.data_id},
                                                                  {"group", config_.group},
                                                                  {"tenant", tenant_},
                                                                  {"md5", md5()}}))});
      if (!heard) co_return fail(std::move(heard).error());
      if (cluster::read_nacos_changed(*heard)) break;
      auto pushed =
          co_await with_deadline(Deadline::after(kCompared), nacos_->next(**connection), "a push of Nacos");
      if (pushed && pushed->type == "ConfigChangeNotifyRequest") break;
      if (!pushed && (*connection)->over()) co_return fail(std::move(pushed).error());
    }
  }
}

Task<Result<NacosText>> NacosDocument::ask_v1() {
  const std::string asked = nacos_->http().address();
  auto answer = co_await nacos_->http().send(
      {.path = "/v1/cs/configs?" +
               cluster::nacos_form(
                   {{"dataId", config_.data_id}, {"group", config_.group}, {"tenant", tenant_}})});
  if (!answer) co_return fail(std::move(answer).error());
  if (answer->status == 200) {
    std::string md5 = cluster::md5_of(answer->body);
    co_return NacosText{.text = std::move(answer->body), .md5 = std::move(md5)};
  }
  // A server without this API says 404, too, but not in these words.
  Error error = cluster::registry_refused(asked, *answer);
  if (has_no_api(answer->status) || (answer->status == 404 && !answer->body.contains("not exist")))
    error.code = ErrorCode::kUnimplemented;
  co_return fail(std::move(error));
}

Task<Result<NacosText>> NacosDocument::ask_v3() {
  const std::string asked = nacos_->http().address();
  auto answer = co_await nacos_->http().send(
      {.path = "/v3/client/cs/config?" + cluster::nacos_form({{"dataId", config_.data_id},
                                                              {"groupName", config_.group},
                                                              {"namespaceId", config_.access.name_space}})});
  if (!answer) co_return fail(std::move(answer).error());
  if (answer->status == 200) co_return cluster::read_nacos_text(answer->body);
  Error error = cluster::registry_refused(asked, *answer);
  if (answer->status == 404 || has_no_api(answer->status)) error.code = ErrorCode::kUnimplemented;
  co_return fail(std::move(error));
}

/// Ends when the text has changed, or after half a minute.
Task<Result<void>> NacosDocument::wait_v1() {
  std::string listening = config_.data_id + '\x02' + config_.group + '\x02' + md5();
  if (!tenant_.empty()) listening += '\x02' + tenant_;
  listening += '\x01';
  const std::string asked = nacos_->http().address();
  auto answer = co_await nacos_->http().send(
      {.method = "POST",
       .path = "/v1/cs/configs/listener",
       .body = cluster::nacos_form({{"Listening-Configs", listening}}),
       .content_type = "application/x-www-form-urlencoded",
       .headers = {{"Long-Pulling-Timeout",
                    std::to_string(
                        std::chrono::duration_cast<std::chrono::milliseconds>(kHeldBack).count())}},
       .wait = kHeldBack});
  if (!answer) co_return fail(std::move(answer).error());
  if (answer->status != 200) co_return fail(cluster::registry_refused(asked, *answer));
  co_return Result<void>();
}

/// Errors: the first failure.
Task<Result<void>> NacosDocument::poll(DocumentSink& sink, Deadline until) {
  cluster::RetryDelay pause;
  std::string before;
  bool at_once = true;
  for (bool first = true; first || !until.passed(loop_time()); first = false) {
    Result<NacosText> text = v3_ ? co_await ask_v3() : co_await ask_v1();
    if (!text && text.error().code == ErrorCode::kUnimplemented) {
      v3_ = !v3_;
      text = v3_ ? co_await ask_v3() : co_await ask_v1();
    }
    if (Error error = text ? Error{} : text.error(); !take(sink, std::move(text)))
      co_return fail(std::move(error));
    if (v3_) {
      co_await sleep_for(config_.interval);
      continue;
    }
    // A server that answers at once without news is not asked without a pause.
    if (std::exchange(before, md5()) == md5() && at_once) {
      co_await sleep_for(pause.next(thread_random()));
    } else {
      pause.reset();
    }
    const MonotonicTime asked_at = loop_time();
    if (auto waited = co_await wait_v1(); !waited) co_return waited;
    at_once = loop_time() - asked_at < kAtOnce;
  }
  co_return Result<void>();
}

Task<void> NacosDocument::run(DocumentSink& sink) {
  Random random = Random::from_entropy();
  cluster::RetryDelay delay;
  while (true) {
    Result<void> followed = fail(Error{});
    if (nacos_->way() == NacosChannel::Way::kGrpc) {
      followed = co_await follow(sink);
      if (!followed && nacos_->falls_back(followed.error())) continue;
    } else {
      followed = co_await poll(sink, nacos_->http_until());
    }
    if (last_) delay.reset();
    if (followed) continue;
    nacos_->prefer_grpc();
    sink.fail(followed.error());
    last_.reset();
    missing_ = false;
    co_await sleep_for(delay.next(random));
  }
}

}  // namespace autoglm::center
