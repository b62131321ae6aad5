#pragma once

#include "app/tls_config.h"
#include "config/file_stamp.h"
#include "observe/log/logger.h"
#include "observe/metrics/registry.h"
#include "runtime/tls_server.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace autoglm::app {

/// The certificates of one listener, as configured and as their files are now. A change makes a whole new
/// context, which goes to `install` only when it is valid; until then, and for existing connections, the old
/// one stays. Main thread.
class LiveTls {
 public:
  using Context = std::shared_ptr<const TlsServerContext>;
  using Install = std::function<void(const Context&)>;

  /// The listener that the certificates belong to.
  struct Listener {
    std::string name;                    ///< a label ("api")
    std::vector<std::string> protocols;  ///< what it speaks within TLS, the best first
  };

  /// A context that was made and is not in use yet.
  struct Prepared {
    ListenerTlsConfig config;
    std::vector<config::FileStamp> stamps;
    Context context;
  };

  /// `install` is called for each context but the first.
  static Result<std::unique_ptr<LiveTls>> create(Listener listener, const ListenerTlsConfig& config,
                                                 observe::MetricRegistry& metrics, observe::Logger& log,
                                                 Install install);

  const Context& current() const { return current_; }
  /// Reads the files that `config` names. An error is logged and counted, and changes nothing.
  Result<Prepared> prepare(const ListenerTlsConfig& config);
  void adopt(Prepared prepared);
  /// Does both when a file has changed since the last look. A pair of which one file is written is an error;
  /// the other file is the next change.
  void refresh();

 private:
  LiveTls(Listener listener, observe::MetricRegistry& metrics, observe::Logger& log, Install install)
      : listener_(std::move(listener)), metrics_(metrics), log_(log), install_(std::move(install)) {}
  void use(Prepared prepared);
  void count(const char* outcome);

  Listener listener_;
  observe::MetricRegistry& metrics_;
  observe::Logger& log_;
  Install install_;
  ListenerTlsConfig config_;
  std::vector<config::FileStamp> stamps_;  // of its files, at the last look
  Context current_;
  std::vector<std::shared_ptr<void>> gauges_;
};

}  // namespace autoglm::app
