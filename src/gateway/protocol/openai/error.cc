#include "gateway/protocol/openai/error.h"

#include "base/json_string.h"
#include "gateway/protocol/status.h"

namespace autoglm::protocol::openai {

namespace {

void append_or_null(std::string& out, const std::string& text) {
  if (text.empty()) {
    out += "null";
  } else {
    append_json_string(out, text);
  }
}

}  // namespace

std::string error_body(const Error& error) {
  std::string out = R"({"error":{"message":)";
  append_json_string(out, error.message);
  out += R"(,"type":)";
  if (error.said && !error.said->type.empty()) {
    append_json_string(out, error.said->type);
  } else {
    (out += '"').append(openai_error_type(error.code)) += '"';
  }
  out += R"(,"param":)";
  append_or_null(out, error.param);
  out += R"(,"code":)";
  append_or_null(out, error.reason);
  out += "}}";
  return out;
}

}  // namespace autoglm::protocol::openai
