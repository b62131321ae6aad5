#pragma once

#include "base/result.h"
#include "engine/backends/token_constraint.h"
#include "inference/events.h"
#include "inference/request.h"

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::engine {

/// Splits a chat model's output into content, reasoning and tool calls. Belongs to one choice and one thread.
class ChatParser {
 public:
  virtual ~ChatParser() = default;
  /// Adds `event`'s text, and leaves in `event` what is new of each kind. At the end (`event.finish` is set)
  /// text that was held back is released.
  virtual void parse(TokenEvent& event) = 0;
};

/// A conversation turned into a prompt by the model's template, and what the template implies for the answer.
struct RenderedChat {
  std::string text;
  /// The parts of `text`, in order, as begin and end, whose bytes never become special tokens, whatever they
  /// look like; each part is tokenized separately.
  std::vector<std::pair<std::size_t, std::size_t>> plain;
  std::unique_ptr<TokenConstraint> constraint;               ///< null: unconstrained
  std::function<std::unique_ptr<ChatParser>()> make_parser;  ///< empty: text is content
  std::vector<std::string> stop;                             ///< further texts that end the answer
};

/// The form in which a model reads conversations and writes answers: its template, tool calls, reasoning, and
/// grammars over its vocabulary. Immutable and thread-safe. Requests that are being prepared share it, so it
/// may outlive the engine; it outlives the constraints that it makes, not the parsers.
class ChatFormat {
 public:
  virtual ~ChatFormat() = default;

  /// Turns the conversation into a prompt that ends where the assistant's turn begins. Errors:
  /// kInvalidArgument when the template refuses the messages, the tools or the format.
  virtual Result<RenderedChat> render(const ChatPrompt& chat, const OutputFormat& format) const = 0;
  /// Makes the constraint of a format other than kText, outside a chat. Errors: kInvalidArgument, saying what
  /// is wrong with its definition.
  virtual Result<std::unique_ptr<TokenConstraint>> constrain(const OutputFormat& format) const = 0;
};

}  // namespace autoglm::engine
