#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::app {

/// The system message and the turns of a conversation.
class Conversation {
 public:
  enum class Role : std::uint8_t { kUser, kAssistant };

  void set_system(std::string text) { system_ = std::move(text); }
  const std::string& system() const { return system_; }

  void ask(std::string text) { turns_.emplace_back(Role::kUser, std::move(text)); }
  void answer(std::string text) { turns_.emplace_back(Role::kAssistant, std::move(text)); }
  /// Forgets the last turn: a question that got no answer.
  void take_back() { turns_.pop_back(); }
  /// Forgets all turns.
  void reset() { turns_.clear(); }
  bool empty() const { return turns_.empty(); }

  /// OpenAI's `messages`, as JSON.
  std::string messages() const;
  /// For people; `model` is the model that answered.
  std::string markdown(std::string_view model) const;

 private:
  std::string system_;  // may be empty
  std::vector<std::pair<Role, std::string>> turns_;
};

}  // namespace autoglm::app
