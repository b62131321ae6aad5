#pragma once

#include "engine/backends/chat_format.h"
#include "engine/backends/llama/chat_template.h"

#include <memory>
#include <string>

struct llama_model;

namespace autoglm::engine {

class TokenTree;

/// A model's chat template, with llama-common's knowledge of how models of its kind call tools and write
/// their reasoning. Thread-safe. The model and the tree must outlive it.
class ChatRenderer {
 public:
  /// A model without a template chats in ChatML unless it is given one. Throws llama-common's exceptions for
  /// a broken template. `system_message` is for chats without one; empty: the template's default.
  static std::unique_ptr<ChatRenderer> create(const llama_model* model, const TokenTree& tree,
                                              std::string system_message, const ChatTemplate& chat_template);
  ~ChatRenderer();

  /// The template, in Jinja or by its name.
  std::string source() const;

  /// Messages become plain text, whatever they look like: only the template writes control tokens. Errors:
  /// kInvalidArgument with the field that the template or its grammar refuses.
  Result<RenderedChat> render(const ChatPrompt& chat, const OutputFormat& format) const;

 private:
  struct State;
  explicit ChatRenderer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace autoglm::engine
