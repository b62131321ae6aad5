#pragma once

#include "gateway/protocol/codec.h"
#include "gateway/protocol/openai/error.h"

namespace autoglm::protocol::rerank {

/// POST /v1/rerank, /v2/rerank and /rerank: Jina's and Cohere's {"query","documents","top_n"?,…}, and TEI's
/// {"query","texts","raw_scores"?,…}, told apart by the name of the list. (jina.ai/reranker,
/// docs.cohere.com/reference/rerank, huggingface.github.io/text-embeddings-inference)
class RerankCodec final : public Codec {
 public:
  Result<DecodedCall> decode(std::string_view body) const override;
  Result<DecodedCall> outline(std::string_view body) const override;
  std::string error_body(const Error& error) const override { return openai::error_body(error); }
};

}  // namespace autoglm::protocol::rerank
