#pragma once

#include "engine/backends/backend.h"
#include "engine/backends/llama/chat_template.h"

#include <memory>
#include <string>

struct llama_model;

namespace autoglm::engine {

class TokenTree;

/// A model's chat template, and what llama-common knows about how models of its kind call tools and think
/// aloud. Thread-safe. The model and the tree must outlive it.
class ChatRenderer {
 public:
  /// A model that has no template, and is given none, chats in ChatML. Throws what llama-common throws at a
  /// broken one. `system_message` is for chats without one; empty: as the template has it.
  static std::unique_ptr<ChatRenderer> create(const llama_model* model, const TokenTree& tree,
                                              std::string system_message, const ChatTemplate& chat_template);
  ~ChatRenderer();

  /// The template, in Jinja or by its name.
  std::string source() const;

  /// What the conversation says is text, whatever it looks like: only the template writes control tokens.
  /// Errors: kInvalidArgument with the field that the template or its grammar refuses.
  Result<RenderedChat> render(const ChatPrompt& chat, const OutputFormat& format) const;

 private:
  struct State;
  explicit ChatRenderer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace autoglm::engine
