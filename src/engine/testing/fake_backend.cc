#include "engine/testing/fake_backend.h"

#include "base/assert.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace autoglm::engine {

namespace {

constexpr std::uint64_t kPrime = 1099511628211ULL;

class LetterConstraint final : public TokenConstraint {
 public:
  LetterConstraint(std::string letters, std::size_t bytes)
      : letters_(std::move(letters)), bytes_(bytes != 0 ? bytes : letters_.size()) {}
  std::unique_ptr<TokenConstraint> clone() const override {
    return std::make_unique<LetterConstraint>(*this);
  }
  std::size_t bytes() const override { return bytes_; }
  bool allows(TokenId token) const override {
    return token < 256 && letters_.find(static_cast<char>(token)) != std::string::npos;
  }
  std::optional<TokenId> mask(std::span<float> logits) const override {
    std::optional<TokenId> allowed;
    for (std::size_t i = 0; i < logits.size(); ++i) {
      if (allows(static_cast<TokenId>(i))) {
        allowed = static_cast<TokenId>(i);
      } else {
        logits[i] = -INFINITY;
      }
    }
    return allowed;
  }
  void accept(TokenId token) override {
    AUTOGLM_ASSERT(allows(token), "a token was chosen that is not allowed");
  }

 private:
  std::string letters_;
  std::size_t bytes_;
};

}  // namespace

FakeVocabulary::FakeVocabulary(const FakeOptions& options)
    : space_first_(options.space_first),
      on_tokenize_(options.on_tokenize),
      on_end_(options.on_end),
      facts_{.size = kSize, .longest_token = options.longest_token} {
  for (int byte = 0; byte < 256; ++byte) pieces_.emplace_back(1, static_cast<char>(byte));
  pieces_.emplace_back();
  if (options.infills) facts_.infill = InfillTokens{.prefix = 1, .suffix = 2, .middle = 3};
}

FakeVocabulary::~FakeVocabulary() {
  if (on_end_) on_end_();
}

Result<std::vector<TokenId>> FakeVocabulary::tokenize(std::string_view text, bool /*add_special*/,
                                                      bool parse_special) const {
  if (on_tokenize_) on_tokenize_();
  const std::string_view end = written(kEnd);
  std::vector<TokenId> tokens;
  if (space_first_ && !text.empty()) tokens.push_back(' ');
  while (!text.empty()) {
    const bool is_end = parse_special && text.starts_with(end);
    tokens.push_back(is_end ? kEnd : static_cast<unsigned char>(text.front()));
    text.remove_prefix(is_end ? end.size() : 1);
  }
  return tokens;
}

Result<RenderedChat> FakeChatFormat::render(const ChatPrompt& chat, const OutputFormat& format) const {
  RenderedChat rendered;
  for (const ChatMessage& message : chat.messages)
    rendered.text += message.role + ": " + message.content + "\n";
  if (chat.add_generation_prompt) rendered.text += "assistant: ";
  if (format.kind == OutputFormat::Kind::kText) return rendered;
  auto constraint = constrain(format);
  if (!constraint) return fail(constraint.error());
  rendered.constraint = std::move(*constraint);
  return rendered;
}

Result<std::unique_ptr<TokenConstraint>> FakeChatFormat::constrain(const OutputFormat& format) const {
  if (format.kind != OutputFormat::Kind::kGrammar)
    return fail(invalid_field("response_format", "the fake knows no JSON"));
  return std::make_unique<LetterConstraint>(format.definition, constraint_bytes_);
}

FakeStepper::FakeStepper(const FakeOptions& options)
    : facts_{.context_length = options.context,
             .cache_cells = options.cells,
             .max_sequences = options.max_sequences,
             .sequence_ids = options.shares_prefixes ? 4 * options.max_sequences : options.max_sequences,
             .shares_prefixes = options.shares_prefixes,
             .cell_bytes = options.shares_prefixes ? 1U : 0U,
             .restore_slack = 64,
             .max_batch = options.max_batch,
             .threads = 3} {}

void FakeStepper::put(const BatchRow& row) {
  for (const Cell& cell : cells_) {
    AUTOGLM_ASSERT(!cell.owners.contains(row.sequence) || cell.position != row.position,
                   "two cells of one sequence are at one position");
  }
  cells_.push_back({row.token, row.position, {row.sequence}});
}

/// Letters with a gap between their logits; the likeliest is a hash of all tokens up to this row.
std::vector<float> FakeStepper::logits_of(const BatchRow& row) const {
  std::vector<const Cell*> context(static_cast<std::size_t>(row.position) + 1);
  for (const Cell& cell : cells_) {
    if (!cell.owners.contains(row.sequence) || cell.position > row.position) continue;
    context[static_cast<std::size_t>(cell.position)] = &cell;
  }
  std::uint64_t hash = 14695981039346656037ULL;
  for (const Cell* cell : context) {
    AUTOGLM_ASSERT(cell != nullptr, "a sequence has a gap");
    hash = (hash ^ static_cast<std::uint64_t>(cell->token)) * kPrime;
  }
  std::vector<float> logits(FakeVocabulary::kSize, -100.0F);
  for (std::size_t letter = 0; letter < 26; ++letter) {
    hash = (hash ^ letter) * kPrime;
    logits['a' + letter] = static_cast<float>((hash >> 40) % 1000) / 250.0F;
  }
  logits[FakeVocabulary::kEnd] = -1.0F;
  return logits;
}

DecodeStatus FakeStepper::decode(std::span<const BatchRow> rows, std::uint32_t threads,
                                 const StopFlag& stop) {
  AUTOGLM_ASSERT(threads >= 1 && threads <= facts_.threads, "there are not so many threads");
  std::unique_lock lock(mutex_);
  if (held_) {
    waiting_ = true;
    changed_.notify_all();
    // The flag does not notify this wait: poll for it.
    while (held_ && !stop.is_set()) changed_.wait_for(lock, std::chrono::milliseconds(1));
    waiting_ = false;
  }
  AUTOGLM_ASSERT(rows.size() <= facts_.max_batch, "a step is larger than a batch");
  ++steps_;
  if (failures_left_ > 0 || stop.is_set()) {
    if (failures_left_ > 0) --failures_left_;
    const DecodeStatus status = stop.is_set() ? DecodeStatus::kAborted : failure_;
    if (status == DecodeStatus::kNoRoom) return status;
    for (const BatchRow& row : rows.first(rows.size() / 2)) put(row);
    return status;
  }
  if (cells_.size() + rows.size() > facts_.cache_cells) return DecodeStatus::kNoRoom;
  logits_.assign(rows.size(), {});
  for (std::size_t i = 0; i < rows.size(); ++i) {
    AUTOGLM_ASSERT(
        rows[i].sequence >= 0 && static_cast<std::uint32_t>(rows[i].sequence) < facts_.sequence_ids,
        "there is no such sequence");
    put(rows[i]);
    if (rows[i].wants_logits) logits_[i] = logits_of(rows[i]);
  }
  rows_ += rows.size();
  return DecodeStatus::kOk;
}

void FakeStepper::apply(const KvOperation& operation) {
  using enum KvOperation::Kind;
  const std::lock_guard lock(mutex_);
  if (operation.kind == kDrop) states_.erase(operation.state);
  if (operation.kind == kRestore) {
    for (Cell cell : states_.at(operation.state)) {
      const auto position = static_cast<std::uint32_t>(cell.position);
      if (position < operation.begin || position >= operation.end) continue;
      cell.owners = {operation.to};
      cells_.push_back(std::move(cell));
    }
  }
  if (operation.kind == kDrop || operation.kind == kRestore) return;
  for (Cell& cell : cells_) {
    const auto position = static_cast<std::uint32_t>(cell.position);
    if (!cell.owners.contains(operation.from) || position < operation.begin || position >= operation.end)
      continue;
    if (operation.kind == kShare) {
      cell.owners.insert(operation.to);
    } else if (operation.kind == kSave) {
      states_[operation.state].push_back(cell);
    } else {
      cell.owners.erase(operation.from);
    }
  }
  std::erase_if(cells_, [](const Cell& cell) { return cell.owners.empty(); });
}

void FakeStepper::fail_steps(std::uint32_t count, DecodeStatus status) {
  const std::lock_guard lock(mutex_);
  failures_left_ = count;
  failure_ = status;
}

void FakeStepper::hold() {
  const std::lock_guard lock(mutex_);
  held_ = true;
}

void FakeStepper::release() {
  const std::lock_guard lock(mutex_);
  held_ = false;
  changed_.notify_all();
}

void FakeStepper::wait_until_held() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return waiting_; });
}

bool FakeStepper::is_held() const {
  const std::lock_guard lock(mutex_);
  return waiting_;
}

std::size_t FakeStepper::cells() const {
  const std::lock_guard lock(mutex_);
  return cells_.size();
}

std::size_t FakeStepper::states() const {
  const std::lock_guard lock(mutex_);
  return states_.size();
}

std::uint64_t FakeStepper::steps() const {
  const std::lock_guard lock(mutex_);
  return steps_;
}

std::uint64_t FakeStepper::rows() const {
  const std::lock_guard lock(mutex_);
  return rows_;
}

Backend make_fake_backend(const FakeOptions& options) {
  return {.facts = {},
          .vocabulary = std::make_shared<const FakeVocabulary>(options),
          .chat = options.chats ? std::make_shared<const FakeChatFormat>(options.constraint_bytes) : nullptr,
          .stepper = std::make_unique<FakeStepper>(options)};
}

BackendLoader loader_of(Backend backend) {
  return [kept = std::make_shared<Backend>(std::move(backend))](const LoadProgress&) {
    return Result<Backend>(std::move(*kept));
  };
}

}  // namespace autoglm::engine
