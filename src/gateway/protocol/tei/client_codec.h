#pragma once

#include "gateway/protocol/client_codec.h"

namespace autoglm::protocol::tei {

/// Hugging Face's Text Embeddings Inference: `/embed` and `/rerank`.
class TeiClient final : public ClientCodec {
 public:
  std::string_view name() const override { return "TEI's protocol"; }
  LoadMetrics load_metrics() const override { return {.running = {}, .waiting = "te_queue_size"}; }
  Result<EndpointRequest> write(const InferenceRequest& request, const EndpointTerms& terms) const override;
  std::unique_ptr<AnswerReader> reader(const InferenceRequest& request,
                                       const EndpointTerms& terms) const override;
};

}  // namespace autoglm::protocol::tei
