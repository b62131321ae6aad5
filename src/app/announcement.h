#pragma once

#include "app/model_set.h"
#include "app/server_config.h"
#include "base/terminal.h"
#include "inference/endpoint.h"
#include "runtime/socket.h"
#include "runtime/task.h"

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace autoglm::app {

// What `serve` says on standard output while it starts. The texts are made by pure functions.

/// The addresses that it listens on, as the sockets report them.
struct Listening {
  HostPort api;
  HostPort admin;
  bool asks_for_keys = false;  ///< the API does
};

/// "http://127.0.0.1:8080": a URL that works on this machine, also when it listens on all addresses.
std::string shown_url(HostPort address, bool tls);

/// One line that names what is open, and to whom; empty: nothing is.
std::string exposure(const Listening& listening, const ServerConfig& config);

/// The first lines, before models are loaded.
std::string listening_text(const Listening& listening, const ServerConfig& config, const Paint& paint);

/// What is announced of a model when all models have been loaded and all endpoints asked.
struct AnnouncedModel {
  struct Endpoint {
    std::string name;
    gateway::ServerKind kind = gateway::ServerKind::kUnknown;
    std::optional<Result<void>> check;  ///< the first check; none: no answer yet
  };
  ModelCard card;
  EndpointStatus status;
  bool own_process = false;  ///< of an engine
  std::string balance;       ///< of a pool: the policy's name; empty: an engine
  bool continue_text = true;
  std::vector<Endpoint> endpoints;
};

/// Whether broken streams are resumed, and how, by what is known of the endpoints; of a model that generates
/// nothing, how it is called.
std::string resumption(const AnnouncedModel& model);

/// What is served, by whom, and a call to try.
std::string ready_text(const std::string& url, const std::vector<AnnouncedModel>& models, const Paint& paint);

/// Waits until no model is loading any more. On the control loop.
Task<void> loaded(const ModelSet& models);
/// Waits until every endpoint of every pool has been checked once, for a few seconds at most. On the control
/// loop.
Task<void> first_checks(const ModelSet& models);
std::vector<AnnouncedModel> announced_models(const ModelSet& models);

}  // namespace autoglm::app
