#pragma once

#include "base/published.h"
#include "cluster/health/checks.h"
#include "gateway/endpoint/http_clients.h"
#include "gateway/protocol/client_codec.h"
#include "http/client.h"
#include "http/url.h"
#include "inference/endpoint.h"
#include "inference/group_shares.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::gateway {

/// The kind of a server, as far as it matters for resuming.
enum class ServerKind : std::uint8_t { kUnknown, kOurs, kContinuesChats, kOther };

/// Where a server is, and how it is called.
struct HttpEndpointOptions {
  http::Url url;        ///< of its API: "http://10.0.0.11:8000/v1"
  std::string api_key;  ///< empty: none
  std::string model;    ///< its own name for the model; empty: the client's
  std::vector<std::pair<std::string, std::string>> headers;
  std::shared_ptr<const TlsClientContext> tls;  ///< null: the clients' own
  std::string tls_name;                         ///< expected in the certificate; empty: the host
  Duration connect_timeout = std::chrono::seconds(2);
  Duration reuse_time = std::chrono::minutes(1);  ///< how long a connection may be used again
  bool continue_text = true;                      ///< whether it may be asked to continue from text
  std::shared_ptr<const protocol::ClientCodec> codec = nullptr;  ///< what it speaks; null: OpenAI's protocol
  std::shared_ptr<Dialer> dialer;  ///< how it is reached, in place of `url`'s host
  /// It is a part of this server: it is told a request's tenant, priority and deadline, tells the usage of
  /// every stream, and tokenizes for us.
  bool part_of_us = false;
  /// Told to a part of this server, with each caller's group; null: no group owns a share.
  std::shared_ptr<const LiveGroupShares> shares = nullptr;
  bool ask_tokens = true;  ///< whether an Open-AutoGLM server is asked for each step's tokens, so that
                           ///< another one can continue
  /// The kind that was found out; shared with earlier endpoints of the same address.
  std::shared_ptr<std::atomic<ServerKind>> kind =
      std::make_shared<std::atomic<ServerKind>>(ServerKind::kUnknown);
};

/// The root of the server whose API is at `api`: that address without `/v1`.
http::Url root_of(http::Url api);

/// A server across the network: vLLM, SGLang, llama-server, Ollama, a cloud, another Open-AutoGLM. Of a
/// client that speaks the server's protocol the body and the answer's frames pass through, and only `model`
/// is changed where names differ; the work of other clients is translated. Thread-safe; requests go out on
/// the calling loop's own connections.
class HttpEndpoint final : public Endpoint, public cluster::Checks {
 public:
  HttpEndpoint(HttpEndpointOptions options, HttpClients& clients);

  Task<Result<std::unique_ptr<EventStream>>> generate(InferenceRequestPtr request,
                                                      const CallContext& context) override;
  Task<Result<UnaryAnswer>> call(UnaryRequest request, const CallContext& context) override;
  bool passes_through() const override { return true; }
  bool judges_bodies() const override { return codec_->passes(WireBody::Protocol::kChat); }
  Continuation continuation(const InferenceRequest& request) const override {
    return continuation(request, kind());
  }
  ModelCard card() const override { return {.source = options_.url.origin()}; }
  EndpointStatus status() const override { return {.state = EndpointStatus::State::kReady, .progress = 1}; }
  LoadReport load() const override;
  std::shared_ptr<const PrefixSet> prefixes() const override { return prefixes_.get(); }

  /// One check of its health: GET `path` at its root; for "/health" what the protocol has in its place.
  /// Success: a 2xx; with an empty path, a connection. The first success also finds out the server's kind.
  Task<Result<void>> check(std::string path, Duration timeout) override;
  /// Asks an Open-AutoGLM server for its load report, and reads `vllm:num_requests_running` and `_waiting` of
  /// others; without these the load stays zero.
  Task<Result<void>> scrape_load(Duration timeout) override;
  /// Its /metrics.
  Task<Result<std::string>> metrics_page(Duration timeout) { return get("/metrics", timeout); }

  /// Whether it is an Open-AutoGLM server, which can resume an answer from its tokens.
  bool ours() const { return kind() == ServerKind::kOurs; }
  ServerKind kind() const { return options_.kind->load(std::memory_order_relaxed); }
  std::string name() const { return options_.url.authority(); }

 private:
  http::ClientRequest to(std::string method, std::string target) const;
  Result<http::ClientRequest> outgoing(const InferenceRequest& request, const CallContext& context,
                                       bool ours) const;
  Result<http::ClientRequest> translated(const InferenceRequest& request, const CallContext& context,
                                         const protocol::EndpointTerms& terms) const;
  void tell_call(http::ClientRequest& outgoing, const InferenceRequest& request,
                 const CallContext& context) const;
  // Rare beside passing: inlined, its frame would be a part of every request's.
  [[gnu::noinline]] Task<Result<std::unique_ptr<EventStream>>> translate(InferenceRequestPtr request,
                                                                         const CallContext& context,
                                                                         ServerKind kind);
  protocol::EndpointTerms terms(const InferenceRequest& request, ServerKind kind) const;
  // Rare: inlined, its frame would be a part of every request's.
  [[gnu::noinline]] Task<Error> read_refusal(http::ClientResponse& response, bool chosen, bool translated);
  std::string target_for(const InferenceRequest& request) const;
  Continuation continuation(const InferenceRequest& request, ServerKind kind) const;
  struct Page {
    int status;
    std::string body;
  };
  Task<Result<Page>> look_at(std::string path, Duration timeout);
  Task<Result<std::string>> get(std::string path, Duration timeout);
  Task<Result<std::string>> post(std::string path, std::string body, const CallContext& context);
  Task<Result<UnaryAnswer>> answer(TokenizeRequest request, const CallContext& context);
  Task<Result<UnaryAnswer>> answer(DetokenizeRequest request, const CallContext& context);
  Task<Result<UnaryAnswer>> answer(TokenizerInfoRequest request, const CallContext& context);
  void tell_context(http::ClientRequest& request, const CallContext& context) const;
  Task<Result<void>> ask_health(std::string path, Duration timeout);
  Task<ServerKind> find_out(Duration timeout);

  HttpEndpointOptions options_;
  std::shared_ptr<const protocol::ClientCodec> codec_;
  const http::Url root_;
  std::string chat_target_;
  HttpClients& clients_;
  std::shared_ptr<const http::OriginHead> get_head_;
  std::shared_ptr<const http::OriginHead> post_head_;
  std::atomic<std::uint32_t> running_{0};
  std::atomic<std::uint32_t> waiting_{0};
  Published<PrefixSet> prefixes_;
};

}  // namespace autoglm::gateway
