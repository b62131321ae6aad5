#include "engine/backends/llama/schema_grammar.h"

#include "base/utf8.h"
#include "engine/backends/llama/schema_check.h"

#include <json-schema-to-grammar.h>
#include <json.h>

#include <fmt/format.h>

#include <exception>
#include <string>
#include <string_view>

namespace autoglm::engine {

namespace {

constexpr std::size_t kMostGrammarBytes = 1 << 20;  // its rules take twenty times as much memory

}  // namespace

Result<GrammarSpec> grammar_of(const OutputFormat& format) {
  const std::string field(format.field());
  if (format.kind == OutputFormat::Kind::kGrammar) {
    if (format.definition.size() <= kMostGrammarBytes) return GrammarSpec{.grammar = format.definition};
    return fail(invalid_field(field, fmt::format("{} is over {} bytes", field, kMostGrammarBytes)));
  }
  const std::string schema =
      format.kind == OutputFormat::Kind::kJsonObject ? R"({"type": "object"})" : format.definition;
  const auto refuse = [&field](std::string_view why) {
    return fail(invalid_field(field, fmt::format("{} has a schema that cannot be kept to: {}", field, why)));
  };
  if (auto checked = check_schema(schema); !checked) return refuse(checked.error().message);
  try {
    return GrammarSpec{.grammar = json_schema_to_grammar(common_json::parse(schema))};
  } catch (const std::exception& exception) {
    return refuse(excerpt(exception.what(), 300));
  }
}

}  // namespace autoglm::engine
