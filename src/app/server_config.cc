#include "app/server_config.h"

#include "app/cors_config.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace autoglm::app {

namespace {

/// The limits that keep one client from taking the resources of all.
config::Descriptor<ServerConfig> with_limits(config::Descriptor<ServerConfig> server) {
  using C = ServerConfig;
  return std::move(server)
      .field("max_connections", &C::max_connections,
             {.doc = "Connections at a time; further ones are told 503.", .min = 1, .max = 10'000'000})
      .field(
          "max_connections_per_client", &C::max_connections_per_client,
          {.doc = "Connections at a time of one address (of IPv6, one /64); further ones are told 429. 0: as "
                  "many as there are. Behind a proxy all are its own.",
           .max = 10'000'000})
      .bytes(
          "body_memory", &C::body_memory,
          {.doc =
               "Memory for the bodies of all requests at a time, small ones not counted; who finds it full "
               "is told 503.",
           .min = 1 << 20})
      .bytes("answer_memory", &C::answer_memory,
             {.doc = "Memory for all answers at a time that are held whole before they are sent, small ones "
                     "not counted; who finds it full is told 503. Streams hold next to nothing.",
              .min = 1 << 20})
      .bytes(
          "compress_above", &C::compress_above,
          {.doc = "Whole answers from this size on are sent as zstd, br or gzip to clients that accept it; "
                  "streams never. 0: none.",
           .max = 1 << 30})
      .field("http2", &C::http2,
             {.doc = "Speak HTTP/2, too: where TLS agrees on it, and to clients that begin with it."})
      .field(
          "http2_streams", &C::http2_streams,
          {.doc = "Requests at a time of one HTTP/2 connection; further ones are refused, to be sent again.",
           .min = 1,
           .max = 1'000'000})
      .field("header_timeout", &C::header_timeout,
             {.doc = "From a request's first byte to the end of its header.", .min = 0.001, .max = 3600})
      .field("body_timeout", &C::body_timeout,
             {.doc = "For the whole of a request's body.", .min = 0.001, .max = 3600})
      .field("idle_timeout", &C::idle_timeout,
             {.doc = "How long a connection may wait for its next request.", .min = 0.001, .max = 86'400})
      .field("write_timeout", &C::write_timeout,
             {.doc = "How long a client may take nothing of its answer before it is given up. Until then its "
                     "stream, and what makes it, wait.",
              .min = 0.001,
              .max = 3600});
}

std::vector<config::Violation> check_secrets(const ServerConfig& config) {
  std::vector<config::Violation> wrong;
  const auto check = [&wrong](const char* key, const std::string& secret, std::size_t least) {
    if (!secret.empty() && secret.size() < least)
      wrong.push_back(
          {key, "is too short to be a secret; write at least " + std::to_string(least) + " characters"});
  };
  check("admin_token", config.admin_token, 8);
  check("peer_key", config.peer_key, 16);
  return wrong;
}

}  // namespace

config::Descriptor<ServerConfig> describe_server() {
  using C = ServerConfig;
  return with_limits(
             config::Descriptor<C>("server", "What clients talk to.")
                 .field("listen", &C::listen, {.doc = "The address of the API. Port 0 takes a free one."})
                 .field("admin_listen", &C::admin_listen,
                        {.doc = "The address for the operator: health, metrics, models. Keep it off public "
                                "networks."})
                 .field(
                     "admin_token", &C::admin_token,
                     {.doc = "What the operator has to send there, as `Authorization: Bearer`; probes need "
                             "not. Unset: nothing.",
                      .example = "${env:ADMIN_TOKEN}",
                      .secret = true})
                 .field("peer_key", &C::peer_key,
                        {.doc = "A secret that gateways and servers of ours share: with it, `/load` tells "
                                "gateways that balance by `prefix_affinity` which prompts were read lately, "
                                "and nobody else. Unset: it tells nobody.",
                         .example = "${env:PEER_KEY}",
                         .secret = true})
                 .field("workers", &C::workers,
                        {.doc = "A ceiling on working threads, event loops and compute together; never more "
                                "than the "
                                "CPUs this "
                                "process may use. 0: those. Also `MAX_WORKERS`.",
                         .example = "4",
                         .max = 4096})
                 .field("request_timeout", &C::request_timeout,
                        {.doc = "How long a whole answer may take, waiting included; of a streamed one, the "
                                "first token "
                                "and then each "
                                "next one. Also `API_TIMEOUT`, in seconds.",
                         .min = 0.001,
                         .max = 86'400,
                         .live = true})
                 .field(
                     "drain_delay", &C::drain_delay,
                     {.doc =
                          "How long requests are still answered after SIGTERM, while readiness says no: for "
                          "load balancers that learn late.",
                      .example = "5s",
                      .max = 3600,
                      .live = true})
                 .field(
                     "drain_timeout", &C::drain_timeout,
                     {.doc =
                          "How long answers under way may go on after SIGTERM. A second signal ends at once.",
                      .max = 86'400,
                      .live = true})
                 .bytes("max_body", &C::max_body,
                        {.doc = "The largest request body.", .min = 1024, .max = 1 << 30})
                 .field("generation_defaults", &C::generation_defaults,
                        {.doc = "Of engines that do not say: `model`: what a request does not say about "
                                "sampling is as the model's own defaults have it. `none`: plain sampling, as "
                                "OpenAI's API has it. Also `--generation-defaults`."}))
      .section("cors", &C::cors, describe_cors())
      .section("tls", &C::tls,
               describe_listener_tls("tls", "Speak TLS at `listen`. Unset: plain HTTP. See docs/tls.md."))
      .section("admin_tls", &C::admin_tls, describe_listener_tls("admin_tls", "The same at `admin_listen`."))
      .check(check_secrets);
}

http::ServerLimits limits_of(const ServerConfig& config, std::size_t loops,
                             std::shared_ptr<http::BodyMemory> answer_memory) {
  http::ServerLimits limits;
  limits.body_bytes = config.max_body;
  limits.connections = std::max<std::size_t>(1, config.max_connections / loops);
  limits.compress_above = config.compress_above;
  limits.http2_streams = config.http2 ? config.http2_streams : 0;
  limits.header_time = config.header_timeout;
  limits.body_time = config.body_timeout;
  limits.idle_time = config.idle_timeout;
  limits.write_stall = config.write_timeout;
  limits.body_memory = std::make_shared<http::BodyMemory>(config.body_memory);
  limits.answer_memory = std::move(answer_memory);
  limits.clients = std::make_shared<http::ConnectionCounts>(config.max_connections_per_client);
  return limits;
}

}  // namespace autoglm::app
