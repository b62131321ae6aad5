#pragma once

#include "base/result.h"
#include "gateway/model_directory.h"
#include "inference/call_context.h"
#include "inference/events.h"
#include "inference/request.h"
#include "runtime/task.h"

#include <memory>
#include <string>

namespace autoglm::gateway {

/// How long a call may take. `API_TIMEOUT` sets all three.
struct PipelineTimeouts {
  Duration request = std::chrono::seconds(30);  ///< a whole answer that is not streamed, queueing included
  Duration first_token = std::chrono::seconds(30);  ///< a stream's wait for its first token
  Duration idle = std::chrono::seconds(30);         ///< and for each next one
};

/// The way of a call through the gateway: the stages stand in `generate`, in order. One object
/// serves all loops; thread-safe.
class Pipeline {
 public:
  struct Call {
    std::string id;
    std::string model;  ///< as the client named it; empty: the default
    GenerateRequest work;
    bool stream = false;
    CallContext context;
  };

  struct Answer {
    std::string model;  ///< as resolved
    std::unique_ptr<EventStream> events;
  };

  Pipeline(const ModelDirectory& models, PipelineTimeouts timeouts) : models_(models), timeouts_(timeouts) {}

  /// Errors: what any stage refuses with; kDeadlineExceeded.
  Task<Result<Answer>> generate(Call call) const;

  const ModelDirectory& models() const { return models_; }

 private:
  const ModelDirectory& models_;
  PipelineTimeouts timeouts_;
};

}  // namespace autoglm::gateway
