#include "app/chat/terminal_chat.h"

#include "app/chat/advice.h"
#include "app/chat/answer_screen.h"
#include "base/suggest.h"
#include "base/utf8.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <ctime>
#include <utility>

namespace autoglm::app {

namespace {

constexpr std::string_view kPrompt = ">";
constexpr std::string_view kGoesOn = "..";

std::string printable(std::string_view text) {
  std::string out;
  append_printable(out, text, "\n");
  return out;
}

/// Text typed while an answer arrives shows at the next prompt, and not within the answer.
class NoEcho {
 public:
  NoEcho() : known_(::tcgetattr(STDIN_FILENO, &before_) == 0) {
    if (!known_) return;
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(STDIN_FILENO, TCSANOW, &quiet);
  }
  ~NoEcho() {
    if (known_) ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  NoEcho(const NoEcho&) = delete;
  NoEcho& operator=(const NoEcho&) = delete;

 private:
  termios before_{};
  bool known_;
};

/// Errors: why not; an existing file is not overwritten.
Result<void> write_new(const std::string& path, std::string_view text) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (file < 0 && errno == EEXIST)
    return fail(ErrorCode::kInvalidArgument, path + " is there already; name another file");
  const bool written =
      file >= 0 && ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int why = errno;
  if (file >= 0) ::close(file);
  if (written) return {};
  return fail(ErrorCode::kInternal, fmt::format("{} cannot be written: {}", path, std::strerror(why)));
}

}  // namespace

TerminalChat::TerminalChat(ChatSession& session, const ChatOptions& options,
                           const std::map<std::string, std::string>& environment)
    : session_(session),
      options_(options),
      paint_(shows_colours(STDOUT_FILENO)),
      error_paint_(shows_colours(STDERR_FILENO)),
      history_(chat_history_path(environment)),
      editor_(paint_, [this](std::string_view typed) { return completions(typed, models_); }) {
  conversation_.set_system(options.system);
}

int TerminalChat::run() {
  if (!greet()) return 1;
  // A Ctrl-C just after an answer must not end the program; during an answer, and while a line is edited,
  // Ctrl-C has its own handlers.
  std::signal(SIGINT, SIG_IGN);
  for (const std::string& earlier : history_.load()) editor_.remember(earlier);
  while (!exit_code_) {
    auto message = next_message();
    if (!message) return 0;
    if (message->find_first_not_of(" \t\n") == std::string::npos) continue;
    editor_.remember(*message);
    history_.add(*message);
    if (const auto command = read_command(*message)) {
      if (*command) {
        obey(**command);
      } else {
        complain(command->error());
      }
      continue;
    }
    say(std::move(*message));
  }
  return *exit_code_;
}

/// A missing server is reported before the user has typed a long message.
bool TerminalChat::greet() {
  if (!refresh_models()) return false;
  if (const std::string model = current_model(); !model.empty()) {
    if (!models_.empty() && std::ranges::find(models_, model) == models_.end()) {
      choose_model(model);  // which lists the models
      return false;
    }
    print_now(fmt::format("{} at {}\n", paint_(Style::kBold, printable(model)), options_.url));
  }
  note("/help says what can be done here. Ctrl-D ends.");
  print_now("\n");
  return true;
}

bool TerminalChat::refresh_models() {
  auto told = session_.run(session_.client().models());
  if (told) {
    models_ = std::move(*told);
    return true;
  }
  // Some servers chat without listing their models.
  if (told.error().code == ErrorCode::kNotFound) return true;
  complain(told.error());
  return false;
}

std::string TerminalChat::current_model() const {
  if (!options_.model.empty() || models_.empty()) return options_.model;
  return models_.front();
}

std::optional<std::string> TerminalChat::next_message() {
  while (true) {
    auto line = editor_.read(composer_.open() ? kGoesOn : kPrompt);
    switch (line.end) {
      case LineEditor::End::kEnd:
        return std::nullopt;
      case LineEditor::End::kInterrupted:
        composer_.clear();
        continue;
      case LineEditor::End::kLine:
        if (auto message = composer_.add(line.text)) return message;
    }
  }
}

void TerminalChat::note(std::string_view text) { print_now(paint_(Style::kDim, text) + "\n"); }

void TerminalChat::complain(const Error& error) {
  const std::string what_to_do = advice(error, options_.url);
  fmt::print(stderr, "{} {}\n", error_paint_(Style::kRed, "error:"), printable(error.message));
  if (!what_to_do.empty()) fmt::print(stderr, "{}\n", what_to_do);
  fmt::print(stderr, "\n");
}

void TerminalChat::obey(const ChatCommand& command) {
  using enum ChatCommand::Kind;
  switch (command.kind) {
    case kModel:
      return choose_model(command.argument);
    case kSystem:
      return choose_system(command.argument);
    case kReset:
      conversation_.reset();
      return note("A new conversation.\n");
    case kSave:
      return save(command.argument);
    case kHelp:
      print_now(std::string(chat_help()) + "\n");
      return;
    case kExit:
      exit_code_ = 0;
  }
}

void TerminalChat::choose_model(const std::string& name) {
  if (!refresh_models()) return;
  if (name.empty()) {
    std::string list;
    for (const std::string& model : models_) {
      const bool current = model == current_model();
      list += fmt::format("  {} {}\n", current ? "*" : " ",
                          current ? paint_(Style::kBold, printable(model)) : printable(model));
    }
    print_now(list.empty() ? "  The server does not list its models; /model NAME takes any.\n\n"
                           : list + "\n");
    return;
  }
  if (!models_.empty() && std::ranges::find(models_, name) == models_.end()) {
    const auto meant = nearest(name, models_);
    return complain({.code = ErrorCode::kInvalidArgument,
                     .message = fmt::format("the server has no model \"{}\"{}; it has: {}", name,
                                            meant ? fmt::format(", did you mean {}?", *meant) : "",
                                            fmt::join(models_, ", "))});
  }
  options_.model = name;
  note(printable(name) + (conversation_.empty() ? " answers from now on.\n"
                                                : " answers from now on, and knows what was said.\n"));
}

void TerminalChat::choose_system(const std::string& text) {
  if (text.empty()) {
    return note(conversation_.system().empty()
                    ? "The model is told nothing first. /system TEXT changes that.\n"
                    : printable(conversation_.system()) + "\n");
  }
  const bool none = text == "none";
  conversation_.set_system(none ? std::string() : text);
  note(none ? "The model is told nothing first.\n"
            : "The model is told that first, from the next message on.\n");
}

void TerminalChat::save(std::string path) {
  if (conversation_.empty()) return note("Nothing has been said yet.\n");
  if (path.empty()) path = fmt::format("chat-{:%Y%m%d-%H%M%S}.md", fmt::localtime(std::time(nullptr)));
  const bool json = path.ends_with(".json");
  const auto written =
      write_new(path, json ? conversation_.messages() + "\n" : conversation_.markdown(current_model()));
  if (!written) return complain(written.error());
  note("Saved as " + printable(path) + ".\n");
}

void TerminalChat::say(std::string text) {
  conversation_.ask(std::move(text));
  AnswerScreen screen(true, paint_);
  Answer answer;
  const NoEcho quiet;
  const auto outcome = session_.run_until_signal(session_.client().ask(
      {.messages = conversation_.messages(), .model = options_.model, .max_tokens = options_.max_tokens},
      answer, [&](const AnswerEvent& event) { print_now(screen.next(event)); }));
  print_now(screen.end());
  const int* signal = std::get_if<ChatSession::Stopped>(&outcome);
  const bool failed = signal == nullptr && !std::get<0>(outcome);
  if (failed || answer.text.empty()) {
    conversation_.take_back();  // a failed turn is not kept
  } else {
    conversation_.answer(answer.text);
  }
  if (failed) return complain(std::get<0>(outcome).error());
  note(speed_line(answer, signal != nullptr) + "\n");
  if (signal != nullptr && *signal != SIGINT) exit_code_ = 128 + *signal;
}

}  // namespace autoglm::app
