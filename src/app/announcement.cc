#include "app/announcement.h"

#include "app/builtins.h"
#include "base/utf8.h"
#include "gateway/front/http/example_call.h"
#include "runtime/deadline.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>
#include <utility>

namespace autoglm::app {

namespace {

using EndpointState = EndpointStatus::State;
using gateway::ServerKind;

// A pool may have ten thousand endpoints.
constexpr std::size_t kShownEndpoints = 8;
constexpr auto kPatience = std::chrono::seconds(3);

bool is_everywhere(std::string_view host) { return host.empty() || host == "0.0.0.0" || host == "::"; }

/// Whether only clients with a certificate are let in.
bool wants_certificates(const std::optional<ListenerTlsConfig>& tls) {
  return tls && !tls->client_ca.empty() &&
         tls->client_auth.value_or(ClientAuth::kRequired) == ClientAuth::kRequired;
}

std::string printable(std::string_view text) {
  std::string out;
  append_printable(out, text);
  return out;
}

std::string joined(const std::vector<std::string>& parts) {
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string name_of(gateway::Balance balance) {
  for (const auto& [name, value] : enum_names(balance))
    if (value == balance) return name;
  return "";
}

bool answered(const AnnouncedModel::Endpoint& endpoint) { return endpoint.check && *endpoint.check; }

std::string endpoint_line(const AnnouncedModel::Endpoint& endpoint, std::size_t width, const Paint& paint) {
  const std::string name = fmt::format("    {:<{}}  ", printable(endpoint.name), width);
  if (!endpoint.check) return name + paint(Style::kYellow, "no answer yet") + "\n";
  if (*endpoint.check) return name + paint(Style::kGreen, "answered") + "\n";
  return name + paint(Style::kRed, "did not answer: " + printable(endpoint.check->error().message)) + "\n";
}

std::string pool_text(const AnnouncedModel& model) {
  const std::size_t all = model.endpoints.size();
  const auto well = std::ranges::count_if(model.endpoints, answered);
  if (all == 1) return fmt::format("one endpoint, which {}", well == 1 ? "answered" : "did not answer");
  return fmt::format("{} of {} endpoints answered, {}", well, all, model.balance);
}

std::string engine_text(const AnnouncedModel& model, const Paint& paint) {
  if (model.status.state == EndpointState::kFailed)
    return paint(Style::kRed, "failed: " + printable(model.status.detail));
  const std::string_view where = model.own_process ? "in a process of its own" : "in this process";
  if (model.card.context_length == 0) return std::string(where);
  return fmt::format("{}, {} tokens of {}", where, model.card.context_length,
                     model.card.task == ModelTask::kGenerate ? "context" : "a text");
}

std::string model_text(const AnnouncedModel& model, std::size_t width, const Paint& paint) {
  const bool pool = !model.balance.empty();
  const std::string name = fmt::format("{:<{}}", printable(model.card.name), width);
  std::string text = fmt::format("  {}  {}\n", paint(Style::kBold, name),
                                 pool ? pool_text(model) : engine_text(model, paint));
  std::size_t names = 0;
  for (const auto& endpoint : model.endpoints) names = std::max(names, endpoint.name.size());
  const std::size_t shown = std::min(model.endpoints.size(), kShownEndpoints);
  for (std::size_t i = 0; i < shown; ++i) text += endpoint_line(model.endpoints[i], names, paint);
  if (shown < model.endpoints.size())
    text +=
        fmt::format("    and {} more: GET /endpoints on the admin address\n", model.endpoints.size() - shown);
  if (model.status.state != EndpointState::kReady) return text;
  return text + "    " + paint(Style::kDim, resumption(model)) + "\n";
}

std::string indented(std::string_view text) {
  std::string out = "  ";
  for (const char c : text) {
    out += c;
    if (c == '\n') out += "  ";
  }
  return out;
}

bool all_checked(const ModelSet& models) {
  return std::ranges::all_of(models.pools(), [&](const auto& pool) {
    const auto discovery = models.discovery(pool->name());
    if (discovery && !discovery->settled()) return false;
    return std::ranges::all_of(pool->members(),
                               [](const auto& member) { return member.last_check.has_value(); });
  });
}

}  // namespace

std::string shown_url(HostPort address, bool tls) {
  if (is_everywhere(address.host)) address.host = "127.0.0.1";
  return (tls ? "https://" : "http://") + address.to_string();
}

std::string exposure(const Listening& listening, const ServerConfig& config) {
  std::vector<std::string> open;
  std::vector<std::string> missing;
  if (!listening.api.is_loopback()) {
    if (!listening.asks_for_keys && !wants_certificates(config.tls)) missing.emplace_back("no client keys");
    if (!config.tls) missing.emplace_back("no TLS");
    if (!missing.empty()) {
      open.push_back(fmt::format("{} is open to whoever reaches {}: {}", listening.api.to_string(),
                                 is_everywhere(listening.api.host) ? "this machine" : "it", joined(missing)));
    }
  }
  missing.clear();
  if (!listening.admin.is_loopback()) {
    if (!wants_certificates(config.admin_tls) && config.admin_token.empty()) missing.emplace_back("no token");
    if (!config.admin_tls) missing.emplace_back("no TLS");
    if (!missing.empty())
      open.push_back(
          fmt::format("the admin address {} is open: {}", listening.admin.to_string(), joined(missing)));
  }
  return fmt::format("{}", fmt::join(open, "; "));
}

std::string listening_text(const Listening& listening, const ServerConfig& config, const Paint& paint) {
  std::string text =
      fmt::format("{} listening on {} (admin on {})\n", paint(Style::kBold, "open-autoglm " + version()),
                  shown_url(listening.api, config.tls.has_value()),
                  shown_url(listening.admin, config.admin_tls.has_value()));
  if (const std::string open = exposure(listening, config); !open.empty())
    text += fmt::format("{} {} (docs/hardening.md)\n", paint(Style::kYellow, "warning:"), open);
  return text;
}

std::string resumption(const AnnouncedModel& model) {
  if (model.card.task == ModelTask::kEmbed) return "makes vectors: POST /v1/embeddings";
  if (model.card.task == ModelTask::kRank) return "ranks documents: POST /v1/rerank";
  if (model.balance.empty())
    return "streams that break are resumed by a gateway of ours in front, if there is one";
  if (model.endpoints.size() < 2) return "a stream that breaks cannot be resumed: there is no other endpoint";
  const auto count = [&](ServerKind kind) {
    return std::ranges::count(model.endpoints, kind, &AnnouncedModel::Endpoint::kind);
  };
  const auto all = static_cast<std::ptrdiff_t>(model.endpoints.size());
  const auto ours = count(ServerKind::kOurs);
  if (ours == all) return "streams that break are resumed exactly";
  const std::string some =
      ours >= 2 ? fmt::format("streams that break are resumed exactly by the {} of ours", ours) : "";
  if (!model.continue_text)
    return some.empty() ? "streams that break are not resumed (continue_text is off)" : some;
  if (!some.empty()) return some + ", by their text elsewhere";
  if (ours + count(ServerKind::kContinuesChats) >= 2) return "streams that break are resumed by their text";
  return "completions that break are resumed by their text, chats are not";
}

std::string ready_text(const std::string& url, const std::vector<AnnouncedModel>& models,
                       const Paint& paint) {
  if (models.empty()) return "ready, without a model; name one with MODEL_NAME or --model\n";
  std::vector<std::string> ready;
  std::size_t width = 0;
  const AnnouncedModel* first = nullptr;
  for (const AnnouncedModel& model : models) {
    width = std::max(width, model.card.name.size());
    if (model.status.state != EndpointState::kReady) continue;
    ready.push_back(printable(model.card.name));
    if (first == nullptr) first = &model;
  }
  std::string text = fmt::format("\n{} {}\n\n", paint(Style::kGreen, "ready:"), joined(ready));
  for (const AnnouncedModel& model : models) text += model_text(model, width, paint);
  if (first == nullptr) return text;
  ModelCard called = first->card;
  if (first == &models.front()) called.name.clear();  // the default model needs no name
  const bool standard = url == "http://127.0.0.1:8080";
  text += fmt::format("\n{}\n\n", indented(gateway::example_call(
                                      url, called, gateway::can_chat(first->status, first->card))));
  for (const auto& [where, what] :
       {std::pair("terminal", "open-autoglm chat" + (standard ? "" : " --url " + url)),
        {"browser ", url + "/"},
        {"docs    ", "docs/README.md"}})
    text += fmt::format("  {}  {}\n", paint(Style::kDim, where), what);
  text += '\n';
  return text;
}

Task<void> loaded(const ModelSet& models) {
  const auto loads = [&models] {
    const auto snapshot = models.directory().now();
    return std::ranges::any_of(snapshot->entries(), [](const auto& entry) {
      return entry.endpoint->status().state == EndpointStatus::State::kLoading;
    });
  };
  while (loads()) co_await sleep_for(std::chrono::milliseconds(20));
}

Task<void> first_checks(const ModelSet& models) {
  const Deadline deadline = Deadline::after(kPatience);
  while (!all_checked(models) && !deadline.passed()) co_await sleep_for(std::chrono::milliseconds(20));
}

std::vector<AnnouncedModel> announced_models(const ModelSet& models) {
  std::vector<AnnouncedModel> announced;
  const auto pools = models.pools();
  const auto directory = models.directory().now();
  for (const auto& entry : directory->entries()) {
    AnnouncedModel& model = announced.emplace_back();
    model.card = entry.endpoint->card();
    model.card.name = entry.name;
    model.status = entry.endpoint->status();
    model.own_process = models.in_own_process(entry.name);
    const auto pool = std::ranges::find(pools, entry.name, [](const auto& each) { return each->name(); });
    if (pool == pools.end()) continue;
    model.balance = name_of((*pool)->config().balance);
    model.continue_text = (*pool)->config().continue_text;
    for (const auto& member : (*pool)->members())
      model.endpoints.push_back(
          {.name = member.member.name(), .kind = member.kind, .check = member.last_check});
  }
  return announced;
}

}  // namespace autoglm::app
