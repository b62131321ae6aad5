#include "simulated_engine.h"

#include <charconv>

namespace autoglm::simulation {

using namespace std::chrono_literals;

std::string fake_answer(std::string_view prompt, std::uint32_t tokens) {
  constexpr std::uint64_t kPrime = 1099511628211ULL;
  std::uint64_t prefix = 14695981039346656037ULL;
  for (const char c : prompt) prefix = (prefix ^ static_cast<unsigned char>(c)) * kPrime;
  std::string answer;
  while (answer.size() < tokens) {
    std::uint64_t hash = prefix;
    std::uint64_t most = 0;
    char best = 'a';
    for (char letter = 0; letter < 26; ++letter) {
      hash = (hash ^ static_cast<std::uint64_t>(letter)) * kPrime;
      if (const std::uint64_t logit = (hash >> 40U) % 1000; letter == 0 || logit > most) {
        most = logit;
        best = static_cast<char>('a' + letter);
      }
    }
    answer += best;
    prefix = (prefix ^ static_cast<std::uint64_t>(best)) * kPrime;
  }
  return answer;
}

bool TimedChatFormat::pass_time(std::string_view text) const {
  std::uint64_t id = 0;
  if (const std::size_t at = text.find('c'); at != std::string_view::npos)
    std::from_chars(text.data() + at + 1, text.data() + text.size(), id);
  history_.prepares(id);
  History& history = history_;
  const auto alive = alive_;
  machine_.block(nullptr, machine_.now() + machine_.about(preparation_));
  if (!*alive) history.breach("a job works with a model that is gone");
  return *alive;
}

Result<engine::RenderedChat> TimedChatFormat::render(const ChatPrompt& chat,
                                                     const OutputFormat& format) const {
  if (!pass_time(chat.messages.front().content)) return fail(ErrorCode::kInternal, "the model is gone");
  return fake_.render(chat, format);
}

void TimedStepper::fail_steps(std::uint32_t count) {
  fake_.fail_steps(
      count, machine_.random().below(2) == 0 ? engine::DecodeStatus::kFailed : engine::DecodeStatus::kNoRoom);
}

engine::DecodeStatus TimedStepper::decode(std::span<const engine::BatchRow> rows, std::uint32_t threads,
                                          const engine::StopFlag& stop) {
  machine_.block(nullptr, machine_.now() + machine_.about(2ms));
  return stop.is_set() ? engine::DecodeStatus::kAborted : fake_.decode(rows, threads, stop);
}

}  // namespace autoglm::simulation
