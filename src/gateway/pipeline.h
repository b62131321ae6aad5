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

/// The way of a call through the gateway: the stages stand in `generate`, in order. One object
/// serves all loops; thread-safe.
class Pipeline {
 public:
  struct Answer {
    std::string model;  ///< as resolved
    std::unique_ptr<EventStream> events;
  };

  explicit Pipeline(const LiveDirectory& models) : models_(models) {}

  /// `request` is nobody else's yet, and its model as the client named it; empty: the default. Errors: what
  /// any stage refuses with; kDeadlineExceeded.
  Task<Result<Answer>> generate(std::unique_ptr<InferenceRequest> request, CallContext context) const;

  const LiveDirectory& models() const { return models_; }

 private:
  const LiveDirectory& models_;
};

}  // namespace autoglm::gateway
