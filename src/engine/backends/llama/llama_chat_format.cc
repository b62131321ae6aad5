#include "engine/backends/llama/llama_chat_format.h"

#include "base/utf8.h"
#include "engine/backends/llama/grammar_constraint.h"
#include "engine/backends/llama/schema_grammar.h"

#include <fmt/format.h>

#include <exception>
#include <type_traits>
#include <utility>

namespace autoglm::engine {

namespace {

/// Returns what `make` returns; an exception becomes the error of `field`.
template <class F>
std::invoke_result_t<F> without_exceptions(const std::string& field, const F& make) {
  try {
    return make();
  } catch (const std::exception& exception) {
    return fail(
        invalid_field(field, fmt::format("{} cannot be used: {}", field, excerpt(exception.what(), 200))));
  }
}

}  // namespace

LlamaChatFormat::LlamaChatFormat(LlamaModelPtr model, std::string system_message,
                                 const ChatTemplate& chat_template)
    : model_(std::move(model)),
      tree_(model_->vocab),
      renderer_(ChatRenderer::create(model_->model.get(), tree_, std::move(system_message), chat_template)) {}

Result<RenderedChat> LlamaChatFormat::render(const ChatPrompt& chat, const OutputFormat& format) const {
  return without_exceptions("messages", [&] { return renderer_->render(chat, format); });
}

Result<std::unique_ptr<TokenConstraint>> LlamaChatFormat::constrain(const OutputFormat& format) const {
  const std::string field(format.field());
  return without_exceptions(field, [&]() -> Result<std::unique_ptr<TokenConstraint>> {
    const auto spec = grammar_of(format);
    if (!spec) return fail(spec.error());
    auto constraint = make_grammar_constraint(tree_, *spec);
    if (constraint) return constraint;
    return fail(invalid_field(field, constraint.error().message));
  });
}

}  // namespace autoglm::engine
