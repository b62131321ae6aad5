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

/// Where it listens, as told by the sockets.
struct Listening {
  HostPort api;
  HostPort admin;
};

/// "http://127.0.0.1:8080": what a person on this machine can use, also where it listens on all addresses.
std::string shown_url(HostPort address, bool tls);

/// One line that names what is open to whom; empty: nothing is.
std::string exposure(const Listening& listening, const ServerConfig& config);

/// The first lines, before models are loaded.
std::string listening_text(const Listening& listening, const ServerConfig& config, const Paint& paint);

/// What is said of a model when all have been loaded and asked.
struct AnnouncedModel {
  struct Endpoint {
    std::string name;
    gateway::ServerKind kind = gateway::ServerKind::kUnknown;
    std::optional<Result<void>> check;  ///< the first one; none: no answer yet
  };
  ModelCard card;
  EndpointStatus status;
  bool own_process = false;  ///< of an engine
  std::string balance;       ///< of a pool: the policy's name; empty: an engine
  bool continue_text = true;
  std::vector<Endpoint> endpoints;
};

/// Whether a stream that breaks goes on, and how, as far as it is known of those endpoints.
std::string resumption(const AnnouncedModel& model);

/// What is served, by whom, and a call to try.
std::string ready_text(const std::string& url, const std::vector<AnnouncedModel>& models, const Paint& paint);

/// Waits until every endpoint of every pool has been checked once, but no longer than people like to wait. On
/// the control loop.
Task<void> first_checks(const ModelSet& models);
std::vector<AnnouncedModel> announced_models(const ModelSet& models);

}  // namespace autoglm::app
