#pragma once

#include "base/result.h"
#include "gateway/protocol/client_codec.h"
#include "inference/embed_request.h"
#include "inference/events.h"

#include <simdjson.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::protocol {

/// An answer that comes as one document: what it says, and its usage.
using WholeDocument = std::pair<WholeAnswer, Usage>;
using ReadDocument = std::function<Result<WholeDocument>(const simdjson::dom::element& document)>;

/// Reads the whole body as JSON, and then `read` reads that. An error object in its place is the answer's
/// error.
std::unique_ptr<AnswerReader> document_reader(ReadDocument read);

/// Parts of these documents. Errors: kBadGateway, for another number of them than was asked for, or a value
/// that is none.
class Vectors {
 public:
  explicit Vectors(std::size_t count) : vectors_(count) {}
  /// `values`: a list of numbers.
  Result<void> set(std::size_t index, const simdjson::dom::element& values);
  Result<EmbedResult> take();

 private:
  std::vector<std::vector<float>> vectors_;
};
/// A list of `{"index": …, KEY: …}`, in any order.
Result<ScoreResult> read_scores(const simdjson::dom::element& list, std::string_view key, std::size_t count);

/// Small parts of JSON; an absent one, or one of another type, is empty or 0.
std::string text_at(const simdjson::dom::element& object, std::string_view key);
std::uint32_t count_at(const simdjson::dom::element& object, std::string_view key);
/// Parses `json`, one object, with the calling thread's parser: valid until the next call. Nothing: it is
/// none.
std::optional<simdjson::dom::element> parse_object(std::string_view json);

}  // namespace autoglm::protocol
