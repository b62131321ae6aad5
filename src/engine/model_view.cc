#include "engine/model_view.h"

#include <fmt/format.h>

#include <string>

namespace autoglm::engine {

Result<RenderedChat> ModelView::render(const ChatPrompt& messages, const OutputFormat& format) const {
  if (chat) return chat->render(messages, format);
  return fail(invalid_field(
      "messages", "this model has no chat template; write its prompt yourself and send it as a completion"));
}

Result<std::unique_ptr<TokenConstraint>> ModelView::constrain(const OutputFormat& format) const {
  if (chat) return chat->constrain(format);
  const std::string field(format.field());
  return fail(invalid_field(field, fmt::format("{} is not for this model: it writes plain text only", field),
                            "unsupported_parameter"));
}

}  // namespace autoglm::engine
