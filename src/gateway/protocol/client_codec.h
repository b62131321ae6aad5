#pragma once

#include "base/result.h"
#include "inference/endpoint.h"
#include "inference/events.h"
#include "inference/request.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::protocol {

/// What a client codec is told of the endpoint that is asked.
struct EndpointTerms {
  std::string_view model = {};   ///< its own name for the model; empty: the request's
  bool ours = false;             ///< an Open-AutoGLM server, which knows every field of ours
  bool ask_tokens = false;       ///< one of these that tells each step's tokens, so that another can go on
  bool continues_chats = false;  ///< vLLM or SGLang
  std::uint8_t priority = 0;     ///< of the call, 0 … 9
};

/// Where a request goes at a server.
struct EndpointPath {
  std::string path;       ///< with its query
  bool from_root = true;  ///< below the server's root; else below its API, `/v1` included
};

/// What an endpoint is asked, in its own protocol.
struct EndpointRequest {
  EndpointPath to;
  std::string body;  ///< one JSON object
};

/// The metrics by which a server says how busy it is; empty: it has none.
struct LoadMetrics {
  std::string_view running;
  std::string_view waiting;
};

/// Turns the bytes of one endpoint's answer into events, however the bytes are cut. Not thread-safe; lives as
/// long as the answer.
class AnswerReader {
 public:
  virtual ~AnswerReader() = default;

  /// Takes what is whole out of `bytes`, which begin with what earlier calls have left, and appends what it
  /// says to `batch`; the batch has `usage` when the answer is complete, and nothing is read after that.
  /// `over`: no further bytes will come. Errors: what the server says in the answer's place; kBadGateway with
  /// the reason "bad_stream" for bytes that are no answer, and for an answer that is cut. `batch` then has
  /// what was valid before.
  virtual Result<void> read(std::string& bytes, bool over, EventBatch& batch) = 0;
  /// Whether every token comes with its id.
  virtual bool tells_tokens() const { return false; }
  /// Whether it waits for the whole body, which may be long.
  virtual bool reads_whole() const { return false; }
  /// Approximate memory of what it keeps.
  virtual std::size_t kept() const { return 0; }
};

/// The client's side of a protocol: what an endpoint that speaks it is asked, and how its answers are read.
/// Pure: no I/O, no clock; stateless, thread-safe.
///
/// A request is answered in one of two ways. *Passing*: the client speaks the endpoint's protocol, so the
/// client's own body goes out with a few members changed, and the answer's bytes come back as they are.
/// *Translating*: the body is written anew from the work, the answer is always asked as a stream, and becomes
/// events that the client's own codec writes.
class ClientCodec {
 public:
  virtual ~ClientCodec() = default;

  /// For errors: "Anthropic's protocol".
  virtual std::string_view name() const = 0;
  /// The headers of every request to a server: its key (empty: none), a version.
  virtual std::vector<std::pair<std::string, std::string>> headers(std::string_view api_key) const;
  /// The path that says whether a server is well, at its root; empty: a connection is all there is.
  virtual std::string_view health_path() const { return "/health"; }
  virtual LoadMetrics load_metrics() const { return {}; }
  /// Whether servers that speak it are of several kinds, which differ in what they can continue.
  virtual bool has_kinds() const { return false; }

  /// Whether a body of `protocol` goes as it is.
  virtual bool passes(WireBody::Protocol protocol) const { return protocol == WireBody::Protocol::kPassed; }
  /// Where it goes then.
  virtual EndpointPath passing_path(const InferenceRequest& request, const EndpointTerms& terms) const;

  /// The request in this protocol. Errors: kInvalidArgument, for what this protocol cannot say, with the
  /// client's field in `param`; another endpoint may be able to.
  virtual Result<EndpointRequest> write(const InferenceRequest& request,
                                        const EndpointTerms& terms) const = 0;
  /// Reads the answer to a request that `write` has written.
  virtual std::unique_ptr<AnswerReader> reader(const InferenceRequest& request,
                                               const EndpointTerms& terms) const = 0;
  /// The error of an answer whose status is no success.
  virtual Error read_error(int status, std::string_view body,
                           std::optional<std::chrono::seconds> retry_after) const;
  /// How an endpoint could go on with an answer to `request` that is translated.
  virtual Continuation continuation(const InferenceRequest& request, const EndpointTerms& terms) const;
};

}  // namespace autoglm::protocol
