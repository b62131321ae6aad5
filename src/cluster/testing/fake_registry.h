#pragma once

#include "cluster/registries/registry.h"
#include "runtime/signal.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::cluster {

/// A registry that says what a test lets it say, while its task runs. Control loop only.
class FakeRegistry final : public Registry {
 public:
  explicit FakeRegistry(std::string name = "fake llm") : name_(std::move(name)) {}

  Task<void> run(RegistrySink& sink) override {
    sink_ = &sink;
    struct Forget {
      FakeRegistry& registry;
      ~Forget() { registry.sink_ = nullptr; }
    };
    const Forget on_exit{*this};
    if (first_) {
      *first_ ? sink.push(**first_) : sink.fail(Error{.code = ErrorCode::kUnavailable, .message = "ill"});
    }
    Signal never;
    co_await never.wait();
  }
  const std::string& name() const override { return name_; }

  /// What it says at once when its task begins to run; nothing: that it is ill.
  void begin_with(std::optional<std::vector<Instance>> said) { first_.emplace(std::move(said)); }
  bool running() const { return sink_ != nullptr; }
  void push(std::vector<Instance> instances) { sink_->push(std::move(instances)); }
  /// Instances at ports of 10.0.0.1.
  void push_ports(const std::vector<std::uint16_t>& ports) { push(at_ports(ports)); }
  static std::vector<Instance> at_ports(const std::vector<std::uint16_t>& ports) {
    std::vector<Instance> instances;
    for (const std::uint16_t port : ports) instances.push_back({.host = "10.0.0.1", .port = port});
    return instances;
  }
  void fail(std::string message) {
    sink_->fail(Error{.code = ErrorCode::kUnavailable, .message = std::move(message)});
  }

 private:
  std::string name_;
  std::optional<std::optional<std::vector<Instance>>> first_;
  RegistrySink* sink_ = nullptr;
};

}  // namespace autoglm::cluster
