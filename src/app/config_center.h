#pragma once

#include "app/load_config.h"
#include "center/center_config.h"
#include "center/center_source.h"
#include "center/document.h"
#include "center/kept_copy.h"
#include "observe/log/logger.h"
#include "observe/metrics/registry.h"
#include "runtime/blocking_pool.h"
#include "runtime/signal.h"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace autoglm::app {

/// The configuration center of a process: asked before anything else is there, followed while the process
/// runs, and remembered in a copy for the next start. Main thread.
class ConfigCenter final : private center::DocumentSink {
 public:
  /// `cache`: a folder for the copy, unless the configuration names a file.
  ConfigCenter(center::CenterConfig config, const Environment& environment,
               const std::filesystem::path& cache);

  /// The center that the other sources name; null: they name none, or say it wrongly, which is found when
  /// all of them are read.
  static std::shared_ptr<ConfigCenter> named_by(const ConfigInputs& inputs, const Environment& environment,
                                                const std::filesystem::path& cache);

  /// Before any loop runs: waits for the first text, at most for the configured patience, or takes the copy.
  /// Blocks. Errors: there is neither. Called once.
  Result<void> begin();
  /// The center's text cannot be used, or there is none: takes the copy. False: there is no copy, or it was
  /// taken before.
  bool fall_back(std::string why);

  /// What it uses while the process runs; all of it outlives the tasks.
  struct Parts {
    BlockingPool& names;  ///< looks up the center's name
    BlockingPool& files;
    observe::MetricRegistry& metrics;
    observe::Logger& log;
  };
  /// Follows the center for as long as the task lives, on the control loop. Called once.
  Task<void> follow(Parts parts);
  /// Set when the center says something that is worth a reading; whoever reads clears it.
  Signal& news() { return news_; }
  /// The text in force has started a process, or could: keeps it for the next start, beside all else.
  void keep_copy() { copy_due_.set(); }

  const std::shared_ptr<center::CenterSource>& source() const { return source_; }
  /// Whether the process has begun with the copy.
  bool began_with_copy() const { return began_with_copy_; }
  const std::string& copy_path() const { return copy_.path(); }
  /// Why the center could not be asked last; empty: it could.
  const std::string& trouble() const { return trouble_; }

 private:
  void push(center::Version version) override;
  void fail(const Error& error) override;
  Task<Result<void>> ask(BlockingPool& pool);
  Task<void> follow_document(Parts parts);
  Task<void> write_copies(Parts parts);

  const center::CenterConfig config_;
  const std::shared_ptr<center::CenterSource> source_;
  const center::KeptCopy copy_;
  Signal news_;
  std::string trouble_;
  std::string kept_;  // what the copy has
  bool began_with_copy_ = false;
  Signal copy_due_;
  /// What a start asks with: a lookup of a name may outlive it, and must find its loop.
  struct Start {
    EventLoop loop;
    BlockingPool pool{2, 16};
  };
  std::unique_ptr<Start> start_;
  /// While it is followed.
  struct Told {
    observe::Logger& log;
    observe::Gauge& up;
    observe::Counter& failures;
  };
  std::optional<Told> told_;
};

}  // namespace autoglm::app
