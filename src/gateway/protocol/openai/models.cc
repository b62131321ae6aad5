#include "gateway/protocol/openai/models.h"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace autoglm::protocol::openai {

namespace {

boost::json::object describe(const ModelCard& card) {
  boost::json::object object{
      {"id", card.name}, {"object", "model"}, {"created", card.created}, {"owned_by", "open-autoglm"}};
  if (card.context_length > 0) object["max_model_len"] = card.context_length;
  return object;
}

}  // namespace

std::string models_body(std::span<const ModelCard> cards) {
  boost::json::array data;
  for (const ModelCard& card : cards) data.push_back(describe(card));
  return boost::json::serialize(boost::json::object{{"object", "list"}, {"data", std::move(data)}});
}

std::string model_body(const ModelCard& card) { return boost::json::serialize(describe(card)); }

}  // namespace autoglm::protocol::openai
