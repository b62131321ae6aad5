#pragma once

#include "cluster/discovery/discovery.h"
#include "cluster/registries/trouble_pace.h"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace autoglm::cluster {

/// One source: takes what its registry says.
class Discovery::Followed final : public RegistrySink {
 public:
  Followed(Discovery& discovery, Source source, std::string name, observe::MetricRegistry& metrics);

  /// Follows the registry; also when one of its answers took more memory than there is.
  Task<void> run();

  void push(std::vector<Instance> instances) override;
  /// Takes what was pushed last, if that has not been done.
  void digest();
  void fail(const Error& error) override;

  /// Lets those go that are due.
  void release();
  std::optional<MonotonicTime> release_at() const { return guard_.release_at(); }

  /// Whether both ask the same, whoever counts there and with whatever key.
  bool is_as(const Followed& other) const { return registry_->name() == other.registry_->name(); }
  void inherit(const Followed& before);

  const std::vector<MemberGuard::Spec>& members() const { return guard_.members(); }
  const MemberGuard& guard() const { return guard_; }
  const std::string& name() const { return name_; }
  bool answered() const { return answered_; }
  bool settled() const { return answered_ || failed_once_; }
  SourceView view() const {
    return {.name = name(),
            .answered = answered_,
            .trouble = trouble_,
            .instances = listed_,
            .members = guard_.members().size(),
            .held = guard_.held(),
            .skipped = skipped_};
  }

 private:
  /// An instance of the last list, or one that is held, and the endpoint that was made of it.
  struct Known {
    Instance instance;
    MemberGuard::Spec spec;
    mutable std::uint64_t round = 0;  // the last one whose list had it
  };
  struct ByInstance {
    using is_transparent = void;
    static const Instance& of(const Known& known) { return known.instance; }
    static const Instance& of(const Instance& instance) { return instance; }
    std::size_t operator()(const auto& each) const {
      return std::hash<std::string_view>()(of(each).host) * 31 + of(each).port;
    }
    bool operator()(const auto& one, const auto& other) const { return of(one) == of(other); }
  };

  /// The endpoints that count among `instances`. One that was there before is not made anew.
  std::vector<MemberGuard::Spec> shaped(std::vector<Instance> instances, std::string& why);
  /// Of those that are no members any more.
  void forget_others();
  observe::Labels labels() const { return {{"model", discovery_.options_.model}, {"registry", name()}}; }
  void note(bool changed) {
    count_ = guard_.members().size();
    held_ = guard_.held();
    if (changed) discovery_.dirty_.set();
  }
  void log(std::string_view message, observe::LogLevel level, const observe::LogField& more) const;

  Discovery& discovery_;
  const DiscoverConfig config_;
  const std::unique_ptr<Registry> registry_;
  const std::string name_;
  MemberGuard guard_;
  std::optional<std::vector<Instance>> pushed_;  // and not taken yet
  std::unordered_set<Known, ByInstance, ByInstance> known_;
  std::uint64_t round_ = 0;  // of lists that were taken
  bool answered_ = false;
  bool failed_once_ = false;
  std::string trouble_;
  TroublePace complaints_;
  std::string told_why_;
  std::size_t listed_ = 0;
  std::size_t skipped_ = 0;
  observe::Counter& failures_;
  std::atomic<std::size_t> up_ = 0, count_ = 0, held_ = 0;  // for gauges, which any thread reads
  std::vector<std::shared_ptr<void>> gauges_;               // last: they read the above
};

}  // namespace autoglm::cluster
