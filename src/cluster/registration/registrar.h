#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "runtime/task.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::cluster {

/// The reason of the error when another server is registered with our id.
inline constexpr std::string_view kIdTaken = "id_taken";

/// This server as a registry is told of it. A plain value.
struct Registration {
  std::string service;
  std::string id;    ///< one in the service: another server with it is an error
  std::string host;  ///< where others reach us, IPv6 without brackets
  std::uint16_t port = 0;
  std::uint32_t weight = 1;
  std::vector<std::string> tags = {};
  std::map<std::string, std::string> metadata = {};

  bool operator==(const Registration&) const = default;
};

/// Writes us into one registry and keeps us there. Adding one is a file in the registry's folder and a line
/// in app/builtins.cc. When to begin, how to go on after an error, and when to leave are Registrations'.
/// Control loop only; one call at a time.
class Registrar {
 public:
  virtual ~Registrar() = default;

  /// Registers `self` if the registry does not know it as it is, or tells that we live. Returns how long that
  /// lasts: the next call comes before. Errors: one with the reason kIdTaken when another server has the id;
  /// else why the registry did not take it.
  virtual Task<Result<Duration>> keep(const Registration& self) = 0;
  /// Takes back what `keep` wrote; nothing to take back is no error.
  virtual Task<Result<void>> remove(const Registration& self) = 0;
  /// "consul llm": for logs, metrics and the operator. No secret.
  virtual const std::string& name() const = 0;
};

}  // namespace autoglm::cluster
