#pragma once

#include "cluster/registries/registry.h"
#include "runtime/event_loop.h"
#include "runtime/scope.h"

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::cluster {

/// Keeps all that a registry says.
class KeptInstances final : public RegistrySink {
 public:
  void push(std::vector<Instance> instances) override { lists.push_back(std::move(instances)); }
  void fail(const Error& error) override { errors.push_back(error); }

  /// Runs `registry` beside `body`, which sees what is kept.
  Task<void> follow(Registry& registry, Task<void> body) {
    Scope scope;
    scope.spawn(registry.run(*this));
    co_await std::move(body);
  }
  /// Waits until the registry has said something of which `enough` is true; false: it has not, for long.
  Task<bool> until(std::function<bool(const KeptInstances&)> enough) {
    for (int i = 0; i < 10'000 && !enough(*this); ++i) co_await sleep_for(std::chrono::milliseconds(1));
    co_return enough(*this);
  }
  /// "10.0.0.1:8000 10.0.0.2:8000": the last list.
  std::string last() const {
    if (lists.empty()) return "nothing";
    std::string text;
    for (const Instance& each : lists.back())
      text += (text.empty() ? "" : " ") + each.host + ":" + std::to_string(each.port);
    return text;
  }

  std::vector<std::vector<Instance>> lists;
  std::vector<Error> errors;
};

}  // namespace autoglm::cluster
