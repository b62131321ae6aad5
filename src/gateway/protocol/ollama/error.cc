#include "gateway/protocol/ollama/error.h"

#include "base/json_string.h"

namespace autoglm::protocol::ollama {

std::string error_body(const Error& error) {
  std::string out = R"({"error":)";
  append_json_string(out, error.message);
  out += '}';
  return out;
}

}  // namespace autoglm::protocol::ollama
