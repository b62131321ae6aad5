#pragma once

#include "base/result.h"
#include "gateway/admission/keys/key_ring.h"
#include "gateway/admission/keys/key_store.h"
#include "observe/log/logger.h"
#include "observe/metrics/registry.h"
#include "runtime/blocking_pool.h"
#include "runtime/task.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace autoglm::gateway {

/// The key store of a running process: its file is read and written on a thread of its own, and what is in
/// it stands in memory. A change that this process makes is in force when its task has ended; one of another
/// process after the next `look`. While the file cannot be read, the keys of before stay in force, and a
/// metric and a line of the log say so. All calls from one loop.
class LiveKeyStore {
 public:
  /// What is in the store. Immutable.
  struct Contents {
    std::vector<StoredKey> keys;            ///< by name
    std::vector<std::string> unreadable;    ///< names whose keys cannot be read: they are not in force
    std::shared_ptr<const KeyLayer> layer;  ///< of those that are in force
  };

  /// Blocks: for the start of a process. Errors: those of KeyStore::open.
  static Result<std::unique_ptr<LiveKeyStore>> open(KeyStore::Options options,
                                                    observe::MetricRegistry& metrics, observe::Logger& log,
                                                    WallClock now = std::chrono::system_clock::now);

  const std::shared_ptr<const Contents>& contents() const { return contents_; }
  /// `told` is called whenever the contents have changed.
  void on_change(std::function<void()> told) { told_ = std::move(told); }

  Task<Result<MadeKey>> create(KeyConfig wanted);
  Task<Result<StoredKey>> revoke(std::string name);
  Task<Result<MadeKey>> rotate(std::string name, Duration grace);
  /// Takes over what other processes have changed, and what callers have changed that did not wait.
  Task<void> look();

 private:
  /// What the thread works with.
  struct Desk {
    KeyStore store;
    std::shared_ptr<const Contents> latest;

    Result<std::shared_ptr<const Contents>> refresh();
  };
  template <class Value>
  using Operation = std::function<Result<Value>(KeyStore&)>;

  LiveKeyStore(std::string path, std::shared_ptr<Desk> desk, observe::MetricRegistry& metrics,
               observe::Logger& log, WallClock now);
  template <class Value>
  Task<Result<Value>> apply(Operation<Value> operation);
  void say_unreadable() const;
  void adopt(Result<std::shared_ptr<const Contents>> read);

  std::string path_;
  std::shared_ptr<Desk> desk_;  // of the pool's thread
  std::shared_ptr<const Contents> contents_;
  observe::Counter& failures_;
  observe::Gauge& up_;
  observe::Logger& log_;
  WallClock now_;
  std::function<void()> told_;
  bool is_failing_ = false;
  BlockingPool pool_;  // the first to go: its thread uses the desk
};

}  // namespace autoglm::gateway
