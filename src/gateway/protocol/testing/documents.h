#pragma once

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::protocol {

/// An answer's documents as a client of any protocol reads them, for the conformance suites.
using Documents = std::vector<boost::json::object>;

/// The JSON documents of an answer, each valid; "[DONE]" is none. `frame_end`: Protocol::frame_end.
inline Documents documents(std::string_view bytes, std::string_view frame_end) {
  const bool events = bytes.starts_with("data: ") || bytes.starts_with("event: ");
  const std::string_view end = events ? std::string_view("\n\n") : frame_end;
  Documents all;
  while (!bytes.empty()) {
    const std::size_t size = bytes.find(end);
    std::string_view document = bytes.substr(0, size);
    bytes.remove_prefix(size == std::string_view::npos ? bytes.size() : size + end.size());
    if (events) {
      const std::size_t data = document.find("data: ");
      EXPECT_TRUE(data == 0 || (document.starts_with("event: ") && document.find('\n') + 1 == data))
          << document;
      document.remove_prefix(std::min(data + 6, document.size()));
    }
    if (document == "[DONE]") continue;
    boost::system::error_code error;
    const auto value = boost::json::parse(document, error);
    EXPECT_TRUE(!error && !value.is_null()) << error.message() << ": " << document;
    if (value.is_object()) all.push_back(value.as_object());
    // llama-server answers several choices with a list.
    if (value.is_array())
      for (const auto& each : value.as_array()) all.push_back(each.as_object());
  }
  return all;
}

/// The text that a document adds, in protocols whose documents are of one choice.
inline std::string text_of(const boost::json::object& document) {
  for (const char* name : {"response", "content", "text_output"}) {
    const auto* text = document.if_contains(name);
    if (text != nullptr && text->is_string()) return std::string(std::string_view(text->as_string()));
  }
  if (const auto* message = document.if_contains("message"); message != nullptr && message->is_object()) {
    const auto* content = message->as_object().if_contains("content");
    if (content != nullptr && content->is_string())
      return std::string(std::string_view(content->as_string()));
  }
  const auto type = [](const boost::json::object& object) {
    const auto* value = object.if_contains("type");
    return value != nullptr && value->is_string() ? std::string_view(value->as_string()) : std::string_view();
  };
  const auto of_parts = [](const boost::json::object& holder) {
    std::string text;
    for (const auto& part : holder.at("content").as_array())
      text += std::string_view(part.at("text").as_string());
    return text;
  };
  std::string text;
  if (type(document) == "message") text = of_parts(document);
  if (type(document) == "content_block_delta")
    text = std::string_view(document.at("delta").at("text").as_string());
  if (type(document) == "response.output_text.delta")
    text = std::string_view(document.at("delta").as_string());
  if (const auto* output = document.if_contains("output"))
    for (const auto& item : output->as_array()) text += of_parts(item.as_object());
  return text;
}

/// What a client has of each of `n` choices at the end.
inline std::vector<std::string> texts(const Documents& answer, std::size_t n) {
  std::vector<std::string> texts(n);
  for (const auto& document : answer) {
    if (const auto* all = document.if_contains("text"); all != nullptr && all->is_array()) {
      for (std::size_t i = 0; i < n; ++i) texts.at(i) = std::string_view(all->as_array().at(i).as_string());
      continue;
    }
    const auto* choices = document.if_contains("choices");
    if (choices == nullptr) {
      const auto* index = document.if_contains("index");
      const bool numbered = n > 1 && index != nullptr && index->is_number();
      texts.at(numbered ? index->to_number<std::size_t>() : 0) += text_of(document);
      continue;
    }
    for (const auto& choice : choices->as_array()) {
      std::string& text = texts.at(static_cast<std::size_t>(choice.at("index").to_number<int>()));
      for (const char* place : {"message", "delta"}) {
        const auto* part = choice.as_object().if_contains(place);
        const auto* content = part != nullptr ? part->as_object().if_contains("content") : nullptr;
        if (content != nullptr && content->is_string()) text += std::string_view(content->as_string());
      }
      if (const auto* said = choice.as_object().if_contains("text"))
        text += std::string_view(said->as_string());
    }
  }
  return texts;
}

/// The member of that name, of the document or of the response that it is about; null: there is none.
inline const boost::json::value* told(const boost::json::object& document, const char* name) {
  const auto* value = document.if_contains(name);
  const auto* response = document.if_contains("response");  // in Ollama's answers a text
  if (value == nullptr && response != nullptr && response->is_object())
    value = response->as_object().if_contains(name);
  return value == nullptr || value->is_null() ? nullptr : value;
}

}  // namespace autoglm::protocol
