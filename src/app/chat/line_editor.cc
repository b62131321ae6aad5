#include "app/chat/line_editor.h"

#include "app/chat/chat_history.h"
#include "base/assert.h"
#include "base/utf8.h"

#include <histedit.h>
#include <langinfo.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cwchar>
#include <utility>

namespace autoglm::app {

namespace {

// Terminals mark pasted text, so that its newlines do not end the line.
constexpr std::string_view kPasteOn = "\x1b[?2004h";
constexpr std::string_view kPasteOff = "\x1b[?2004l";
constexpr std::wstring_view kPasteEnd = L"\x1b[201~";

std::atomic<bool> g_resized{false};
std::atomic<bool> g_ended{false};
std::atomic<pthread_t> g_reader{};  // the thread whose read a signal interrupts

/// The kernel may choose any thread of the process: the signal is passed to the reading one.
void on_signal(int number) {
  if (const pthread_t reader = g_reader.load(); ::pthread_equal(::pthread_self(), reader) == 0) {
    ::pthread_kill(reader, number);
    return;
  }
  (number == SIGWINCH ? g_resized : g_ended).store(true);
}

/// While a line is read: the signals are held back except while the reader waits, so that none is missed
/// between a look at the input and the wait for more.
class ReadSignals {
 public:
  ReadSignals() {
    g_reader.store(::pthread_self());
    sigset_t ours{};
    ::sigemptyset(&ours);
    for (const int number : kNumbers) ::sigaddset(&ours, number);
    ::pthread_sigmask(SIG_BLOCK, &ours, &mask_before_);
    struct sigaction action{};
    action.sa_handler = on_signal;
    for (std::size_t i = 0; i < kNumbers.size(); ++i) ::sigaction(kNumbers[i], &action, &before_[i]);
  }
  ~ReadSignals() {
    for (std::size_t i = 0; i < kNumbers.size(); ++i) ::sigaction(kNumbers[i], &before_[i], nullptr);
    ::pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
  }
  ReadSignals(const ReadSignals&) = delete;
  ReadSignals& operator=(const ReadSignals&) = delete;

  /// Until there is something to read, or a signal has come.
  void wait_for_input() const {
    pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    ::ppoll(&input, 1, nullptr, &mask_before_);
  }

 private:
  static constexpr std::array kNumbers = {SIGWINCH, SIGTERM, SIGHUP};
  std::array<struct sigaction, kNumbers.size()> before_{};
  sigset_t mask_before_{};
};

/// libedit counts columns by the locale's characters; C.UTF-8 always exists.
void use_utf8() {
  std::setlocale(LC_CTYPE, "");
  if (std::string_view(::nl_langinfo(CODESET)) != "UTF-8") std::setlocale(LC_CTYPE, "C.UTF-8");
}

wchar_t decode(std::string_view character) {
  const auto first = static_cast<unsigned char>(character.front());
  if (character.size() == 1) return first;
  unsigned value = first & (0x7FU >> character.size());
  for (const char c : character.substr(1)) value = (value << 6U) | (static_cast<unsigned char>(c) & 0x3FU);
  return static_cast<wchar_t>(value);
}

std::string common_beginning(const std::vector<std::string>& texts) {
  std::string_view common = texts.front();
  for (const std::string& text : texts) {
    const auto differs = std::ranges::mismatch(common, text);
    common = common.substr(0, static_cast<std::size_t>(differs.in1 - common.begin()));
  }
  return std::string(common);
}

}  // namespace

struct LineEditor::State {
  State(Paint how, Completer completer);
  ~State() {
    ::history_end(history);
    ::el_end(editor);
  }

  static State& of(EditLine* editor) {
    void* state = nullptr;
    ::el_get(editor, EL_CLIENTDATA, &state);
    return *static_cast<State*>(state);
  }
  void bind(const char* keys, const char* what) { ::el_set(editor, EL_BIND, keys, what, nullptr); }
  void add_keys();
  /// Writes an escape sequence, if the terminal understands it.
  void tell(std::string_view escape) const {
    if (obeys) print_now(escape);
  }
  int next_character(wchar_t* out);
  std::string typed() const;
  unsigned char interrupt();
  unsigned char paste();
  unsigned char complete();
  unsigned char suspend();

  Paint paint;
  bool obeys = obeys_escapes(STDOUT_FILENO);
  Completer completer;
  EditLine* editor;
  ::History* history;
  std::string prompt;
  const ReadSignals* signals = nullptr;  // while a line is read
  bool interrupted = false;
};

LineEditor::State::State(Paint how, Completer with)
    : paint(how),
      completer(std::move(with)),
      editor(::el_init("open-autoglm", stdin, stdout, stderr)),
      history(::history_init()) {
  AUTOGLM_ASSERT(editor != nullptr && history != nullptr, "no memory for the line editor");
  HistEvent event{};
  ::history(history, &event, H_SETSIZE, static_cast<int>(ChatHistory::kEntries));
  ::history(history, &event, H_SETUNIQUE, 1);
  ::el_set(editor, EL_CLIENTDATA, this);
  ::el_set(editor, EL_HIST, ::history, history);
  ::el_set(editor, EL_PROMPT_ESC, +[](EditLine* el) { return of(el).prompt.data(); }, '\1');
  ::el_set(editor, EL_GETCFN, +[](EditLine* el, wchar_t* out) { return of(el).next_character(out); });
  ::el_set(editor, EL_EDITOR, "emacs");
  // Ctrl-C and Ctrl-Z are keys while a line is edited; signals would leave the terminal in the editor's mode.
  ::el_set(editor, EL_SETTY, "-d", "-isig", nullptr);
  add_keys();
  ::el_source(editor, nullptr);  // ~/.editrc: for users who want vi's keys
}

void LineEditor::State::add_keys() {
  using Function = unsigned char (*)(EditLine*, int);
  const auto add = [this](const char* name, Function function) {
    ::el_set(editor, EL_ADDFN, name, name, function);
  };
  add("chat-interrupt", [](EditLine* el, int) { return of(el).interrupt(); });
  add("chat-paste", [](EditLine* el, int) { return of(el).paste(); });
  add("chat-complete", [](EditLine* el, int) { return of(el).complete(); });
  add("chat-suspend", [](EditLine* el, int) { return of(el).suspend(); });
  add("chat-newline", [](EditLine* el, int) -> unsigned char {
    return ::el_insertstr(el, "\n") == 0 ? CC_REFRESH : CC_ERROR;
  });
  bind("^C", "chat-interrupt");
  bind("^Z", "chat-suspend");
  bind("^I", "chat-complete");
  bind("\\e[200~", "chat-paste");
  bind("\\e^M", "chat-newline");
  bind("\\e^J", "chat-newline");
  bind("^R", "em-inc-search-prev");
  bind("^W", "ed-delete-prev-word");
  bind("\\e[3~", "ed-delete-next-char");
  bind("\\e[1;5C", "em-next-word");
  bind("\\e[1;5D", "ed-prev-word");
  for (const char* home : {"\\e[H", "\\eOH", "\\e[1~"}) bind(home, "ed-move-to-beg");
  for (const char* end : {"\\e[F", "\\eOF", "\\e[4~"}) bind(end, "ed-move-to-end");
}

/// Replaces libedit's own function, which notices signals only with its own handlers, and these send signals
/// on to the whole process group.
int LineEditor::State::next_character(wchar_t* out) {
  std::string bytes;
  while (true) {
    signals->wait_for_input();
    if (g_ended) break;
    if (g_resized.exchange(false)) {
      ::el_resize(editor);
      tell("\r\x1b[J");  // the line is redrawn where it was
      ::el_set(editor, EL_REFRESH);
      continue;
    }
    char byte = 0;
    const ssize_t count = ::read(STDIN_FILENO, &byte, 1);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    bytes += byte;
    const Utf8Step step = utf8_step(bytes);
    if (step.kind == Utf8Step::Kind::kInvalid) bytes.erase(0, step.length);
    if (step.kind == Utf8Step::Kind::kCharacter) {
      *out = decode(bytes);
      return 1;
    }
  }
  return 0;
}

std::string LineEditor::State::typed() const {
  const LineInfo* line = ::el_line(editor);
  return {line->buffer, line->cursor};
}

/// Shows "^C" after the typed text, and ends the line as Enter does.
unsigned char LineEditor::State::interrupt() {
  const LineInfoW* line = ::el_wline(editor);
  ::el_cursor(editor, static_cast<int>(line->lastchar - line->cursor));
  ::el_insertstr(editor, "^C");
  interrupted = true;
  ::el_push(editor, "\r");
  return CC_REFRESH;
}

/// Everything between the marks is text: newlines end no line, and tabs complete nothing.
unsigned char LineEditor::State::paste() {
  std::wstring text;
  for (wchar_t c = 0; ::el_wgetc(editor, &c) == 1;) {
    text += c == L'\r' ? L'\n' : c;
    if (!text.ends_with(kPasteEnd)) continue;
    text.resize(text.size() - kPasteEnd.size());
    break;
  }
  std::erase_if(text, [](wchar_t c) { return (c < 0x20 && c != L'\n' && c != L'\t') || c == 0x7F; });
  // Drops the newline that ends the last pasted line.
  while (text.ends_with(L'\n')) text.pop_back();
  if (!text.empty()) ::el_winsertstr(editor, text.c_str());
  return CC_REFRESH;
}

unsigned char LineEditor::State::complete() {
  const std::string before = typed();
  const std::vector<std::string> found = completer(before);
  if (found.empty()) return CC_NORM;
  const std::string more = common_beginning(found).substr(before.size()) + (found.size() == 1 ? " " : "");
  if (!more.empty()) {
    ::el_insertstr(editor, more.c_str());
    return CC_REFRESH;
  }
  std::string list = "\n";
  for (const std::string& one : found) list += one + "  ";
  print_now(list + "\n");
  return CC_REDISPLAY;
}

/// As the terminal does itself when no line is edited: the whole job stops, with the terminal in its former
/// state.
unsigned char LineEditor::State::suspend() {
  tell(kPasteOff);
  ::el_set(editor, EL_PREP_TERM, 0);
  ::kill(0, SIGTSTP);
  ::el_set(editor, EL_PREP_TERM, 1);
  tell(kPasteOn);
  return CC_REDISPLAY;
}

LineEditor::LineEditor(Paint paint, Completer completer) {
  use_utf8();
  state_ = std::make_unique<State>(paint, std::move(completer));
}

LineEditor::~LineEditor() = default;

LineEditor::Line LineEditor::read(std::string_view prompt) {
  State& state = *state_;
  g_ended = false;
  const ReadSignals signals;
  state.signals = &signals;
  state.interrupted = false;
  // Text between two \1 has no width; it cannot end a prompt.
  state.prompt =
      state.paint.on() ? "\1\x1b[1m\1" + std::string(prompt) + "\1\x1b[0m\1 " : std::string(prompt) + " ";
  // Before the prompt shows: keys typed at it shall work already.
  ::el_set(state.editor, EL_PREP_TERM, 1);
  state.tell(kPasteOn);
  int count = 0;
  const char* line = ::el_gets(state.editor, &count);
  state.tell(kPasteOff);
  if (line == nullptr || count <= 0) {
    print_now("\n");
    return {.end = End::kEnd, .text = {}};
  }
  if (state.interrupted) return {.end = End::kInterrupted, .text = {}};
  std::string text(line);
  if (text.ends_with('\n')) text.pop_back();
  return {.end = End::kLine, .text = std::move(text)};
}

void LineEditor::remember(const std::string& text) {
  HistEvent event{};
  ::history(state_->history, &event, H_ENTER, text.c_str());
}

}  // namespace autoglm::app
