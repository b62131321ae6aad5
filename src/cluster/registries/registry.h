#pragma once

#include "base/error.h"
#include "runtime/task.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace autoglm::cluster {

/// A server as a registry knows it. A plain value.
struct Instance {
  std::string host;  ///< a name or an address, IPv6 without brackets
  std::uint16_t port = 0;
  std::uint32_t weight = 1;
  bool healthy = true;  ///< as the registry sees it; one that ends, or is being drained, is not
  std::vector<std::string> tags = {};
  std::map<std::string, std::string> metadata = {};

  bool operator==(const Instance&) const = default;
};

/// Takes what a registry says, on the control loop.
class RegistrySink {
 public:
  virtual ~RegistrySink() = default;

  /// All instances of now. An empty list says that there are none, never that nobody knows.
  virtual void push(std::vector<Instance> instances) = 0;
  /// The registry could not be asked; what it said last stays true.
  virtual void fail(const Error& error) = 0;
};

/// Knows which servers there are: a file, a name in the DNS, Consul. Adding one is a folder here and a line
/// in app/builtins.cc. What lists mean (merging, holding back, draining) is Discovery's.
class Registry {
 public:
  virtual ~Registry() = default;

  /// Pushes what it knows, again with every change, for as long as the task lives; on the control loop. It
  /// goes on through errors by itself. Called once; `sink` outlives the task.
  virtual Task<void> run(RegistrySink& sink) = 0;
  /// "dns llm.default.svc": for logs, metrics and the operator. No secret.
  virtual const std::string& name() const = 0;
};

}  // namespace autoglm::cluster
