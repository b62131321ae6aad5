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

/// The path of a call through the gateway: its stages, in order, are in `generate`. One object serves all
/// loops; thread-safe.
class Pipeline {
 public:
  struct Answer {
    std::string model;  ///< as resolved
    std::unique_ptr<EventStream> events;
  };

  explicit Pipeline(const LiveDirectory& models) : models_(models) {}

  /// `request` is not shared yet; its model is the name that the client sent, empty: the default. Errors:
  /// those of the stages; kDeadlineExceeded.
  Task<Result<Answer>> generate(std::unique_ptr<InferenceRequest> request, CallContext context) const;

  const LiveDirectory& models() const { return models_; }

 private:
  const LiveDirectory& models_;
};

}  // namespace autoglm::gateway
