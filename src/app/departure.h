#pragma once

#include "base/clock.h"
#include "cluster/registration/registrations.h"
#include "gateway/front/http/readiness.h"
#include "observe/log/logger.h"
#include "runtime/task.h"

#include <cstddef>
#include <functional>

namespace autoglm::app {

/// What a process that leaves has to do with; outlives the task.
struct Departing {
  cluster::Registrations& registrations;
  gateway::Readiness& readiness;
  std::function<void()> drain;        ///< closes idle connections, and the others behind their answers
  std::function<std::size_t()> busy;  ///< connections with a request
  observe::Logger& log;
};
/// How long it may take.
struct DepartureTimes {
  Duration delay;    ///< in which readiness says no, and requests are still answered
  Duration timeout;  ///< of the drain
};

/// Leaves the registries, so that nobody is sent here any more; then lets readiness fall, and answers
/// requests under way. Ends when all are answered, or the time is over. On the control loop.
Task<void> depart(Departing process, int signal, DepartureTimes times);

}  // namespace autoglm::app
