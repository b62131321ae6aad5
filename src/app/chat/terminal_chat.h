#pragma once

#include "app/chat/chat.h"
#include "app/chat/chat_history.h"
#include "app/chat/chat_session.h"
#include "app/chat/command.h"
#include "app/chat/conversation.h"
#include "app/chat/line_editor.h"
#include "app/chat/message_composer.h"
#include "base/terminal.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::app {

/// A conversation in a terminal, until the user ends it.
class TerminalChat {
 public:
  TerminalChat(ChatSession& session, const ChatOptions& options,
               const std::map<std::string, std::string>& environment);

  /// Returns the exit code.
  int run();

 private:
  bool greet();
  /// The next message; nothing at the end.
  std::optional<std::string> next_message();
  void obey(const ChatCommand& command);
  void choose_model(const std::string& name);
  void choose_system(const std::string& text);
  void save(std::string path);
  void say(std::string text);
  void complain(const Error& error);
  /// Asks the server anew, which may have other models by now.
  bool refresh_models();
  std::string current_model() const;
  void note(std::string_view text);

  ChatSession& session_;
  ChatOptions options_;
  Paint paint_;
  Paint error_paint_;
  ChatHistory history_;
  std::vector<std::string> models_;  // as the server listed them last
  Conversation conversation_;
  MessageComposer composer_;
  LineEditor editor_;
  std::optional<int> exit_code_;
};

}  // namespace autoglm::app
