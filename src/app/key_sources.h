#pragma once

#include "app/admission_config.h"
#include "app/jwks_source.h"
#include "app/keys_file.h"
#include "base/function_ref.h"
#include "gateway/admission/keys/key_ring.h"
#include "gateway/admission/keys/live_key_store.h"
#include "gateway/admission/usage/budget_check.h"
#include "observe/log/logger.h"
#include "observe/metrics/registry.h"
#include "runtime/task.h"

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::app {

/// Who callers are: keys of `keys:`, `keys_file`, and `key_store`, in this rank, which together are the ring
/// that the loops read; and tokens, by `jwt`. Control thread; destroyed before its loop.
class KeySources {
 public:
  /// Opens the file and the store. Errors: theirs.
  static Result<std::unique_ptr<KeySources>> create(const AdmissionConfig& config,
                                                    observe::MetricRegistry& metrics, observe::Logger& log);

  /// Reads what `apply` needs, and changes nothing. Errors: it cannot be read.
  Result<JwksSource::Prepared> prepare(const AdmissionConfig& config) const {
    return tokens_.prepare(config.jwt);
  }
  void apply(const AdmissionConfig& config, JwksSource::Prepared tokens);
  /// Follows the file, if there is one, until it is destroyed.
  Task<void> watch_file();
  /// The same for the store, whose disk may keep a look waiting.
  Task<void> watch_store();
  /// The same for the keys that tokens are signed with.
  Task<void> watch_issuer() { return tokens_.watch(); }

  const gateway::LiveKeys& live() const { return live_; }
  gateway::TokenVerifier& tokens() { return tokens_.verifier(); }
  /// Whether clients must show a key or a token.
  bool asks() const { return live_.get()->asks(); }
  /// `told` is called when keys of the file or the store have changed.
  void on_change(std::function<void()> told) { told_ = std::move(told); }
  /// The keys of all sources that are accepted, expired ones, too.
  void for_each_in_force(FunctionRef<void(const gateway::KeyConfig&)> see) const;
  /// Adds the budgets of all keys in force.
  void add_budgets(gateway::Budgets& budgets) const;

  /// Null: there is none.
  gateway::LiveKeyStore* store() const { return store_.get(); }
  const std::vector<gateway::KeyConfig>& of_config() const { return config_.keys; }
  /// Empty where there is no file.
  const std::vector<gateway::KeyConfig>& of_file() const;
  /// Whether a key may be made: its name is no other source's, and its group and limits exist. Errors: why
  /// not.
  Result<void> check(const gateway::KeyConfig& wanted) const;

 private:
  KeySources(observe::MetricRegistry& metrics, observe::Logger& log) : log_(log), tokens_(metrics, log) {}
  void publish();
  bool file_has(std::string_view name) const;
  void warn_of(const gateway::KeyConfig& key, const char* source);

  observe::Logger& log_;
  AdmissionConfig config_;
  std::shared_ptr<const gateway::KeyLayer> layer_;  // of `keys:`
  std::unique_ptr<KeysFile> file_;
  std::unique_ptr<gateway::LiveKeyStore> store_;
  gateway::LiveKeys live_;
  std::function<void()> told_;
  JwksSource tokens_;
  std::set<std::string> warned_;  // what the log has said of the keys that are there
};

}  // namespace autoglm::app
