#include "redis/reply.h"

#include <hiredis/hiredis.h>

#include <utility>

namespace autoglm::redis {

namespace {

Error protocol_error(std::string message) {
  return Error{.code = ErrorCode::kBadGateway,
               .origin = Origin::kEndpoint,
               .retry = Retry::kElsewhere,
               .message = std::move(message)};
}

/// Where the reply that `task` is about belongs: in its array, or by itself.
Reply* place_of(const redisReadTask* task) {
  if (task->parent == nullptr) return new Reply();
  auto* parent = static_cast<Reply*>(task->parent->obj);
  return &parent->elements[static_cast<std::size_t>(task->idx)];
}

void* create_text(const redisReadTask* task, char* text, std::size_t length) {
  Reply* reply = place_of(task);
  reply->kind = task->type == REDIS_REPLY_ERROR ? Reply::Kind::kError : Reply::Kind::kText;
  reply->text.assign(text, length);
  return reply;
}

// Its count is an int in hiredis 0.14, and a size_t since 1.0.
template <class Count>
void* create_array(const redisReadTask* task, Count count) {
  if (static_cast<std::size_t>(count) > ReplyReader::kMostElements) return nullptr;
  Reply* reply = place_of(task);
  reply->kind = Reply::Kind::kArray;
  reply->elements.resize(static_cast<std::size_t>(count));
  return reply;
}

void* create_integer(const redisReadTask* task, long long value) {
  Reply* reply = place_of(task);
  reply->kind = Reply::Kind::kInteger;
  reply->integer = value;
  return reply;
}

void* create_nothing(const redisReadTask* task) { return place_of(task); }

void free_reply(void* reply) { delete static_cast<Reply*>(reply); }

redisReplyObjectFunctions* reply_functions() {
  static redisReplyObjectFunctions functions = [] {
    redisReplyObjectFunctions made{};
    made.createString = create_text;
    made.createArray = create_array;
    made.createInteger = create_integer;
    made.createNil = create_nothing;
    made.freeObject = free_reply;
    return made;
  }();
  return &functions;
}

}  // namespace

bool Reply::is_error(std::string_view code) const {
  if (kind != Kind::kError) return false;
  const std::string_view all(text);
  if (all.starts_with(code) && (all.size() == code.size() || all[code.size()] == ' ')) return true;
  return all.starts_with("ERR Error running script") &&
         all.find(": -" + std::string(code) + " ") != std::string_view::npos;
}

ReplyReader::ReplyReader() : reader_(redisReaderCreateWithFunctions(reply_functions())) {}

void ReplyReader::Free::operator()(redisReader* reader) const { redisReaderFree(reader); }

Result<void> ReplyReader::feed(std::string_view bytes) {
  since_reply_ += bytes.size();
  if (since_reply_ > kMostBytes) return fail(protocol_error("Redis sent a reply of more than 1 MiB"));
  if (redisReaderFeed(reader_.get(), bytes.data(), bytes.size()) != REDIS_OK)
    return fail(protocol_error(std::string("what Redis sent is no reply: ") + reader_->errstr));
  return {};
}

Result<std::optional<Reply>> ReplyReader::next() {
  void* found = nullptr;
  if (redisReaderGetReply(reader_.get(), &found) != REDIS_OK)
    return fail(protocol_error(std::string("what Redis sent is no reply: ") + reader_->errstr));
  if (found == nullptr) return std::nullopt;
  const std::unique_ptr<Reply> reply(static_cast<Reply*>(found));
  since_reply_ = 0;
  return std::move(*reply);
}

std::string format_command(std::span<const std::string_view> words) {
  std::vector<const char*> texts;
  std::vector<std::size_t> lengths;
  texts.reserve(words.size());
  lengths.reserve(words.size());
  for (const std::string_view word : words) {
    texts.push_back(word.data());
    lengths.push_back(word.size());
  }
  char* made = nullptr;
  const auto length =
      redisFormatCommandArgv(&made, static_cast<int>(words.size()), texts.data(), lengths.data());
  std::string command(made, length < 0 ? 0 : static_cast<std::size_t>(length));
  redisFreeCommand(made);
  return command;
}

}  // namespace autoglm::redis
