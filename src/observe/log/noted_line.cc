#include "observe/log/noted_line.h"

#include "base/assert.h"
#include "observe/log/line.h"

namespace autoglm::observe {

void NotedLine::fields(std::string_view message, Logger::Fields fields, std::string_view trace_id) {
  const LogLine line{.time = time_,
                     .level = level_,
                     .service_name = style_.service_name,
                     .message = message,
                     .trace_id = trace_id.empty() ? std::string_view(style_.process_trace_id) : trace_id,
                     .fields = fields,
                     .colours = style_.colours};
  if (style_.format == LogFormat::kJson) {
    append_json_line(out_, line);
  } else {
    append_text_line(out_, line);
  }
}

void NotedLine::words(std::string_view words) {
  AUTOGLM_ASSERT(style_.format == LogFormat::kText, "JSON has fields, and no words of its own");
  append_words(out_, time_, words, style_.colours);
}

}  // namespace autoglm::observe
