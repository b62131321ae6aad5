#include "cluster/registration/self_description.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace autoglm::cluster {

std::optional<std::vector<std::string>> models_to_tell(const std::vector<ServedModel>& served,
                                                       const ModelNames& wanted, bool registered) {
  using enum EndpointStatus::State;
  const auto is_wanted = [&wanted](const ServedModel& model) {
    return wanted.names.empty() || std::ranges::find(wanted.names, model.name) != wanted.names.end();
  };
  std::vector<std::string> names;
  for (const ServedModel& model : served) {
    if (!is_wanted(model)) continue;
    if (model.state == kLoading && !registered) return std::nullopt;
    if (model.state != kReady) continue;
    names.push_back(model.name);
    names.insert(names.end(), model.aliases.begin(), model.aliases.end());
  }
  if (names.empty()) return std::nullopt;
  return names;
}

bool listens_everywhere(const HostPort& listen) {
  return listen.host.empty() || listen.host == "0.0.0.0" || listen.host == "::";
}

Registration describe_self(const RegisterConfig& config, const ServerFacts& facts, const std::string& host,
                           const std::vector<std::string>& models) {
  const auto given = read_own_address(config.address);
  Registration self{.service = config.service,
                    .id = config.id,
                    .host = host,
                    .port = given && given->port != 0 ? given->port : facts.listen.port,
                    .weight = config.weight,
                    .tags = config.tags,
                    .metadata = config.metadata};
  if (self.id.empty()) self.id = fmt::format("{}-{}-{}", self.service, self.host, self.port);
  const char* const scheme = facts.tls ? "https" : "http";
  // What the operator says of the same counts.
  self.metadata.emplace("models", fmt::format("{}", fmt::join(models, ",")));
  self.metadata.emplace("version", facts.version);
  self.metadata.emplace("protocol", "openai");
  self.metadata.emplace("scheme", scheme);
  self.metadata.emplace("path", "/v1");
  self.metadata.emplace("load",
                        fmt::format("{}://{}/load", scheme, HostPort{self.host, self.port}.to_string()));
  return self;
}

}  // namespace autoglm::cluster
