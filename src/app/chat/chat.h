#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace autoglm::app {

struct ChatOptions {
  std::string url = "http://127.0.0.1:8080";
  std::string model;   ///< empty: the server's default
  std::string system;  ///< a system message; may be empty
  std::string api_key;
  std::uint32_t max_tokens = 0;  ///< of one answer; 0: as many as the model has room for
};

/// In a terminal a conversation with the server, line by line, with an editor; elsewhere a filter: a line in,
/// an answer out. Returns the exit code. `environment` says where earlier messages are kept.
int chat(const ChatOptions& options, const std::map<std::string, std::string>& environment);

}  // namespace autoglm::app
