#include "app/probe.h"

#include "cluster/membership/endpoint_spec.h"
#include "gateway/endpoint/endpoint_factory.h"
#include "http/client.h"
#include "runtime/blocking_pool.h"
#include "runtime/event_loop.h"
#include "runtime/scope.h"
#include "runtime/tls.h"

#include <fmt/format.h>
#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

namespace autoglm::app {

namespace {

namespace json = boost::json;

constexpr std::size_t kMaxBody = std::size_t{4} << 20U;

struct Page {
  int status = 0;
  std::string body;
};

/// One endpoint and its place in the configuration.
struct Target {
  const ModelConfig& model;
  const cluster::EndpointSpec& endpoint;
  std::string model_path;     ///< "models[0]"
  std::string endpoint_path;  ///< "models[0].endpoints[1]"
  std::shared_ptr<const TlsClientContext> tls{};
};

class Prober {
 public:
  Prober(const LoadedConfig& loaded, BlockingPool& pool) : loaded_(loaded), client_(pool, nullptr) {}

  /// All at once: each takes no longer than its own timeouts.
  Task<void> run() {
    Scope scope;
    const auto& models = loaded_.config.models;
    for (std::size_t i = 0; i < models.size(); ++i) {
      const std::string path = "models[" + std::to_string(i) + "]";
      for (std::size_t k = 0; k < models[i].pool.endpoints.size(); ++k) {
        scope.spawn(look_at({.model = models[i],
                             .endpoint = models[i].pool.endpoints[k],
                             .model_path = path,
                             .endpoint_path = path + ".endpoints[" + std::to_string(k) + "]"}));
      }
    }
    co_await scope.join();
  }

  config::Diagnostics take() {
    // In the order of the file, not of the answers.
    std::ranges::sort(warnings_, {}, [](const config::Diagnostic& each) {
      return std::tuple(each.location.line, each.location.column, each.path);
    });
    return std::move(warnings_);
  }

 private:
  Task<void> look_at(Target target) {
    if (cluster::api_url(target.endpoint)->tls) {
      auto made = gateway::context_of(target.endpoint.tls);
      if (!made) {
        warn(target.endpoint_path + ".tls", target.endpoint_path, made.error().message);
        co_return;
      }
      target.tls = std::move(*made);
    }
    if (co_await look_at_health(target)) co_await look_at_models(target);
  }

  /// Whether a server is there at all.
  Task<bool> look_at_health(const Target& target) {
    const cluster::HealthConfig& health = target.model.pool.health;
    http::Url url = *cluster::api_url(target.endpoint);
    url.target = gateway::root_of(url).below(health.path);
    if (health.path.empty()) co_return true;  // a connection is enough, and the next call makes one
    const auto page = co_await get(target, url, health.timeout);
    if (!page) {
      warn(target.endpoint_path + ".url", target.endpoint_path,
           fmt::format("cannot be asked for its health: {}", page.error().message));
      co_return false;
    }
    if (page->status / 100 != 2) {
      warn(target.model_path + ".health.path", target.endpoint_path,
           fmt::format(
               "{} of {} answers {}: the endpoint would be taken for unwell; write a path that it has, or "
               "\"\", with which a connection is enough",
               url.path(), url.origin(), page->status));
    }
    co_return true;
  }

  Task<void> look_at_models(const Target& target) {
    http::Url url = *cluster::api_url(target.endpoint);
    url.target = url.below("/models");
    const auto page = co_await get(target, url, target.model.pool.timeouts.connect + std::chrono::seconds(5));
    const std::string path = target.endpoint_path + ".url";
    if (!page) {
      warn(path, target.endpoint_path,
           fmt::format("cannot be asked for its models: {}", page.error().message));
    } else if (page->status == 401 || page->status == 403) {
      warn(target.endpoint_path + ".api_key", target.endpoint_path,
           fmt::format("is refused by {}: it answers {}", url.origin(), page->status));
    } else if (page->status == 404) {
      warn(path, target.endpoint_path,
           fmt::format("{} answers 404 to {}: is this where its API begins? Most have it at /v1",
                       url.origin(), url.path()));
    } else if (page->status / 100 == 2) {
      look_for_model(target, url, page->body);
    } else {
      warn(path, target.endpoint_path,
           fmt::format("{} answers {} to {}", url.origin(), page->status, url.path()));
    }
  }

  void look_for_model(const Target& target, const http::Url& url, const std::string& body) {
    boost::system::error_code error;
    const json::value parsed = json::parse(body, error);
    const json::value* list = error ? nullptr : parsed.find_pointer("/data", error);
    if (list == nullptr || !list->is_array()) return;
    const std::string& wanted = target.endpoint.model.empty() ? target.model.name : target.endpoint.model;
    std::string known;
    for (const json::value& each : list->get_array()) {
      boost::system::error_code missing;
      const json::value* id = each.find_pointer("/id", missing);
      if (id == nullptr || !id->is_string()) continue;
      if (id->get_string() == wanted) return;
      if (known.size() < 200) known += (known.empty() ? "" : ", ") + std::string(id->get_string());
    }
    warn(target.endpoint_path + ".model", target.endpoint_path,
         fmt::format("{} does not list \"{}\", but {}; write its own name for the model here", url.origin(),
                     wanted, known.empty() ? "none" : known));
  }

  Task<Result<Page>> get(const Target& target, const http::Url& url, Duration timeout) {
    http::ClientRequest request{.url = url, .headers = {}};
    request.connect_timeout = std::min(target.model.pool.timeouts.connect, timeout);
    request.head_timeout = request.read_timeout = timeout;
    request.tls = target.tls;
    request.tls_name = target.endpoint.tls.server_name;
    if (!target.endpoint.api_key.empty())
      request.headers.add("Authorization", "Bearer " + target.endpoint.api_key);
    for (const auto& [name, value] : target.endpoint.headers) request.headers.add(name, value);
    auto response = co_await client_.send(std::move(request));
    if (!response) co_return fail(response.error());
    const int status = (*response)->status();
    auto body = co_await (*response)->read_all(kMaxBody);
    if (!body) co_return fail(body.error());
    co_return Page{.status = status, .body = std::move(*body)};
  }

  /// At `path`, or at `instead` where `path` is not written.
  void warn(const std::string& path, const std::string& instead, std::string message) {
    const config::Node* at = find(loaded_.tree, path);
    if (at == nullptr) at = find(loaded_.tree, instead);
    const auto location = at != nullptr ? at->location : config::Location();
    warnings_.push_back({location, path, std::move(message), true});
  }

  const LoadedConfig& loaded_;
  http::Client client_;
  config::Diagnostics warnings_;
};

}  // namespace

config::Diagnostics probe(const LoadedConfig& loaded) {
  EventLoop loop;
  BlockingPool pool(2, 1024);
  config::Diagnostics warnings;
  std::optional<Scope> scope(std::in_place);
  loop.post([&] {
    scope->spawn([](const LoadedConfig& what, BlockingPool& on, config::Diagnostics& found,
                    EventLoop& until) -> Task<void> {
      Prober prober(what, on);
      co_await prober.run();
      found = prober.take();
      until.stop();
    }(loaded, pool, warnings, loop));
  });
  loop.run();
  return warnings;
}

}  // namespace autoglm::app
