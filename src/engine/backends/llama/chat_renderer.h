#pragma once

#include "engine/backends/backend.h"

#include <memory>

struct llama_model;

namespace autoglm::engine {

class TokenTree;

/// A model's chat template, and what llama-common knows about how models of its kind call tools and think
/// aloud. Thread-safe. The model and the tree must outlive it.
class ChatRenderer {
 public:
  /// Null when the model has no template. Throws what llama-common throws at a broken one.
  static std::unique_ptr<ChatRenderer> create(const llama_model* model, const TokenTree& tree);
  ~ChatRenderer();

  /// Errors: kInvalidArgument with the field that the template or its grammar refuses.
  Result<RenderedChat> render(const ChatPrompt& chat, const OutputFormat& format) const;

 private:
  struct State;
  explicit ChatRenderer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace autoglm::engine
