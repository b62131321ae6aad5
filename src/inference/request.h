#pragma once

#include "inference/embed_request.h"
#include "inference/generate_request.h"

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace autoglm {

/// The client's own body, for endpoints that speak its protocol: it goes to them with a few members changed,
/// so that members unknown to us survive.
struct WireBody {
  enum class Protocol : std::uint8_t {
    kNone,  ///< of no endpoint: a request is written anew from the work
    kCompletions,
    kChat,
    kGenerate,
    kPassed,
    kEmbeddings,
    kRerank,
    kScore,
  };
  Protocol protocol = Protocol::kNone;
  bool stream = false;
  std::string bytes;         ///< one JSON object; empty when it will not be forwarded
  bool names_model = false;  ///< `bytes` say InferenceRequest::model already
  std::string query;         ///< of the address that the client called, without '?'
};

/// A request of which this process understands only its model and whether it streams. Its WireBody goes to
/// endpoints that judge it themselves, and an answer to it is never continued.
struct OpaqueRequest {
  // For WireBody::Protocol::kPassed, a path that this process does not know; the bytes may be anything:
  std::string method = {};
  std::string path = {};  ///< below /v1/
  std::vector<std::pair<std::string, std::string>> headers = {};
};

/// What is asked of a model. Each kind but generations has one answer, which is its stream's only batch.
using Work = std::variant<GenerateRequest, OpaqueRequest, EmbedRequest, ScoreRequest>;

/// What a client asks of a model; the vocabulary between codecs, pipeline and endpoints. Immutable once
/// built: shared as `InferenceRequestPtr` by everything that touches the call.
struct InferenceRequest {
  std::string id;     ///< the request id that logs and answers carry
  std::string model;  ///< as resolved: never empty
  Work work;
  WireBody wire;
  std::int64_t created = 0;  ///< unix seconds; what the answer says
  bool seed_chosen = false;  ///< the seed is this process's; the client named none

  /// Null: the request is of another kind.
  const GenerateRequest* generation() const { return std::get_if<GenerateRequest>(&work); }
  GenerateRequest* generation() { return std::get_if<GenerateRequest>(&work); }
  const OpaqueRequest* opaque() const { return std::get_if<OpaqueRequest>(&work); }
};

using InferenceRequestPtr = std::shared_ptr<const InferenceRequest>;

}  // namespace autoglm
