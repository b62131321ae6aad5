#pragma once

#include "cluster/registration/register_config.h"
#include "cluster/registration/registrar.h"
#include "cluster/registration/self_description.h"
#include "observe/log/logger.h"
#include "observe/metrics/registry.h"
#include "runtime/blocking_pool.h"
#include "runtime/scope.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace autoglm::cluster {

/// Keeps this server in the registries of `register`: it enters each when its models are ready, tells that it
/// lives, enters again when it was forgotten, and leaves. A registry that is away is tried again, and we
/// serve meanwhile. Control loop only, but for its construction and end.
class Registrations {
 public:
  /// How long `leave` waits for registries that do not answer.
  static constexpr Duration kFarewell = std::chrono::seconds(1);

  struct Options {
    std::function<std::vector<ServedModel>()> served;
    ServerFacts facts;
    std::function<Result<std::unique_ptr<Registrar>>(const RegisterConfig&)> registrar;
    BlockingPool& names;  ///< looks up names of registries
  };
  /// What the operator sees of an entry.
  struct View {
    std::string registry;
    std::string service;
    std::string id;       ///< empty: not known yet
    std::string address;  ///< as is `id`
    std::string models;
    bool registered;      ///< the registry has said so, and would say so still
    std::string trouble;  ///< why it is not, or why the registry could not be asked last
  };

  /// `metrics`, `log` and all that `options` refers to outlive it.
  Registrations(Options options, observe::MetricRegistry& metrics, observe::Logger& log);
  ~Registrations();

  /// What a change of the configuration needs; changes nothing. Errors: a certificate that cannot be read.
  class Prepared;
  Result<Prepared> prepare(const std::vector<RegisterConfig>& entries) const;
  /// An entry of which only what stands in it differs is changed in place; others leave, however often that
  /// must be tried, and new ones begin behind their first try.
  void adopt(Prepared prepared);

  /// Keeps the entries for as long as the task lives. Called once.
  Task<void> run();
  /// Leaves all registries, within `kFarewell`, and stays away.
  Task<void> leave();

  std::vector<View> views() const;

 private:
  class Kept;

  void begin(std::shared_ptr<Kept> kept);
  /// Whether `fresh` is to wait for one of those who leave, after the time for the others or before.
  bool waits(const Kept& fresh, bool for_all) const;
  void forget_those_who_left();

  const Options options_;
  observe::MetricRegistry& metrics_;
  observe::Logger& log_;
  std::vector<std::shared_ptr<Kept>> kept_;
  std::vector<std::shared_ptr<Kept>> leaving_;
  bool running_ = false;
  bool left_ = false;
  Scope scope_;  // last: its tasks use the above
};

/// The entries that a configuration wants.
class Registrations::Prepared {
 public:
  Prepared();
  Prepared(Prepared&&) noexcept;
  Prepared& operator=(Prepared&&) noexcept;
  ~Prepared();

 private:
  friend class Registrations;
  struct Wanted;
  std::vector<Wanted> wanted_;
};

}  // namespace autoglm::cluster
