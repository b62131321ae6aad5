#pragma once

#include "observe/log/logger.h"
#include "observe/metrics/registry.h"

#include <memory>
#include <vector>

namespace autoglm::app {

/// The process's own numbers under Prometheus' usual names, and the log's. The tokens must be dropped before
/// `registry` and `log`.
std::vector<std::shared_ptr<void>> process_metrics(observe::MetricRegistry& registry,
                                                   const observe::Logger& log);

}  // namespace autoglm::app
