#pragma once

#include "engine/backends/chat_format.h"
#include "engine/backends/llama/chat_renderer.h"
#include "engine/backends/llama/chat_template.h"
#include "engine/backends/llama/llama_model.h"
#include "engine/backends/llama/token_tree.h"

#include <memory>
#include <string>

namespace autoglm::engine {

/// The chat template of a GGUF file, or another one, and llama.cpp's grammars over its vocabulary.
class LlamaChatFormat final : public ChatFormat {
 public:
  /// `system_message` is for chats without one. Throws llama-common's exceptions for a broken template.
  LlamaChatFormat(LlamaModelPtr model, std::string system_message, const ChatTemplate& chat_template);

  Result<RenderedChat> render(const ChatPrompt& chat, const OutputFormat& format) const override;
  Result<std::unique_ptr<TokenConstraint>> constrain(const OutputFormat& format) const override;

  /// The template, in Jinja or by its name.
  std::string source() const { return renderer_->source(); }

 private:
  LlamaModelPtr model_;
  TokenTree tree_;
  std::unique_ptr<ChatRenderer> renderer_;
};

}  // namespace autoglm::engine
