#pragma once

#include <cstdint>
#include <string>

namespace autoglm::app {

struct ChatOptions {
  std::string url = "http://127.0.0.1:8080";
  std::string model;   ///< empty: the server's default
  std::string system;  ///< a system message; may be empty
  std::string api_key;
  std::uint32_t max_tokens = 0;  ///< of one answer; 0: as many as the model has room for
};

/// A conversation with a server in the terminal, streamed. Returns the exit code.
int chat(const ChatOptions& options);

}  // namespace autoglm::app
