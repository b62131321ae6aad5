#pragma once

#include "config/descriptor.h"

#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

/// A configuration with every kind of value, for the tests of this room.
namespace autoglm::config::testing {

enum class Balance : std::uint8_t { kRoundRobin, kLeastLoad };
inline std::array<EnumName<Balance>, 2> enum_names(Balance) {
  return {{{"round_robin", Balance::kRoundRobin}, {"least_load", Balance::kLeastLoad}}};
}

/// A struct like the runtime room's: not a ListenAddress, but shaped like one.
struct HostPort {
  std::string host;
  std::uint16_t port = 0;
};

struct Breaker {
  Duration window = std::chrono::seconds(10);
  Duration sleep_window = std::chrono::seconds(5);
  int error_percent = 50;
};

struct Model {
  std::string name;
  Balance balance = Balance::kLeastLoad;
  std::string api_key;
  double weight = 1.5;
  Breaker breaker;
  std::vector<std::string> fallback;
  std::optional<Breaker> second = std::nullopt;
};

struct Server {
  ListenAddress listen{.host = "0.0.0.0", .port = 8080};
  HostPort admin{"127.0.0.1", 8081};
  std::uint16_t workers = 4;
  ByteSize max_body{16 << 20};
  std::uint32_t buffer = 4096;
  bool metrics = true;
  std::optional<Duration> idle;
};

struct Sample {
  Server server;
  std::vector<Model> models;
  std::map<std::string, int> limits;
  std::optional<Breaker> breaker;
};

inline Descriptor<Breaker> describe_breaker() {
  return Descriptor<Breaker>("breaker", "When an endpoint is left alone.")
      .field("window", &Breaker::window, {.doc = "What is counted.", .min = 0.001, .max = 3600, .live = true})
      .field("sleep_window", &Breaker::sleep_window, {.doc = "How long."})
      .field("error_percent", &Breaker::error_percent, {.doc = "Share of failures.", .min = 1, .max = 100})
      .check([](const Breaker& breaker) {
        std::vector<Violation> out;
        if (breaker.sleep_window > breaker.window)
          out.push_back({"sleep_window", "must not exceed `window`"});
        return out;
      });
}

inline Descriptor<Model> describe_model() {
  return Descriptor<Model>("model", "One model.")
      .field("name", &Model::name,
             {.doc = "What clients call it.", .example = "chatglm3-6b", .min = 1, .required = true})
      .field("balance", &Model::balance, {.doc = "Which endpoint | first."})
      .field("api_key", &Model::api_key, {.doc = "For its endpoints.", .min = 8, .secret = true})
      .field("weight", &Model::weight, {.doc = "Share.", .min = 0})
      .section("breaker", &Model::breaker, describe_breaker())
      .field("fallback", &Model::fallback, {.doc = "Who else.", .min = 1})
      .section("second", &Model::second, describe_breaker().live(false), {.live = true});
}

inline Descriptor<Server> describe_server() {
  return Descriptor<Server>("server", "What clients talk to.")
      .field("listen", &Server::listen, {.doc = "Address."})
      .field("admin", &Server::admin, {.doc = "Admin address."})
      .field("workers", &Server::workers, {.doc = "Threads.", .max = 1024})
      .field("max_body", &Server::max_body, {.doc = "Largest body.", .min = 1024, .live = true})
      .bytes("buffer", &Server::buffer, {.doc = "A buffer."})
      .field("metrics", &Server::metrics, {.doc = "Serve /metrics."})
      .field("idle", &Server::idle, {.doc = "Idle time.", .example = "30s"});
}

inline Descriptor<Sample> describe_sample() {
  return Descriptor<Sample>("", "A sample.")
      .section("server", &Sample::server, describe_server())
      .section("models", &Sample::models, describe_model(), {.identity = "name"})
      .field("limits", &Sample::limits, {.doc = "By tenant.", .min = 0})
      .section("breaker", &Sample::breaker, describe_breaker());
}

}  // namespace autoglm::config::testing
