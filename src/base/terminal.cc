#include "base/terminal.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace autoglm {

namespace {

std::string_view variable(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets variables
  return value == nullptr ? std::string_view() : value;
}

std::string_view code_of(Style style) {
  switch (style) {
    case Style::kBold:
      return "1";
    case Style::kDim:
      return "2";
    case Style::kRed:
      return "31";
    case Style::kGreen:
      return "32";
    case Style::kYellow:
      return "33";
  }
  return "0";
}

}  // namespace

bool is_terminal(int descriptor) { return ::isatty(descriptor) == 1; }

bool obeys_escapes(int descriptor) {
  const std::string_view type = variable("TERM");
  return is_terminal(descriptor) && !type.empty() && type != "dumb";
}

bool shows_colours(int descriptor) { return obeys_escapes(descriptor) && variable("NO_COLOR").empty(); }

bool print_now(std::string_view text) {
  const bool all = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  return std::fflush(stdout) == 0 && all;
}

std::string Paint::operator()(Style style, std::string_view text) const {
  if (!on_ || text.empty()) return std::string(text);
  return std::string("\x1b[").append(code_of(style)).append("m").append(text).append("\x1b[0m");
}

}  // namespace autoglm
