#pragma once

#include "gateway/protocol/codec.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::protocol {

/// A part of an answer.
struct AnswerBlock {
  enum class Kind : std::uint8_t { kText, kReasoning, kToolCall };
  Kind kind = Kind::kText;
  std::string id;    ///< of a call
  std::string name;  ///< of the tool that is called
  std::string text;  ///< of a call its arguments, as the model wrote them
};

/// Follows a call's arguments as they come.
class CallArguments {
 public:
  void add(std::string_view more);
  /// Whether the object has ended.
  bool whole() const { return begun_ && depth_ == 0; }

 private:
  bool begun_ = false;
  bool text_ = false;     // within a string
  bool escaped_ = false;  // the last byte of it was a backslash
  std::size_t depth_ = 0;
};

/// The encoder of an answer with one choice for protocols that show it as blocks: texts, reasoning and calls,
/// one after another, in the order in which the model wrote them. An endpoint may write several calls at a
/// time: one is shown as it comes, and the others are held until its arguments are whole.
class BlockEncoder : public AnswerEncoder {
 public:
  void events(const EventBatch& batch, std::string& out) final;
  std::size_t kept() const override { return held_bytes_; }

 protected:
  /// `id`: of the answer; calls to which the endpoint gives no id are named after it.
  explicit BlockEncoder(std::string id) : id_(std::move(id)) {}

  /// What stands before the first block; once.
  virtual void begin(std::string& /*out*/) {}
  /// Comes before an event's blocks.
  virtual void note(const TokenEvent& /*event*/) {}
  /// `block`, which has no text yet, is the answer's next.
  virtual void begin_block(const AnswerBlock& block, std::string& out) = 0;
  /// More text of the last block.
  virtual void grow(std::size_t index, std::string_view more, std::string& out) = 0;
  virtual void end_block(std::size_t /*index*/, std::string& /*out*/) {}

  /// Writes what stands before the first block, where that has not been written.
  void ensure_begun(std::string& out);
  bool begun() const { return begun_; }
  /// Ends the block that is open, and writes the calls that are held.
  void close(std::string& out);

  std::optional<FinishReason> finish() const { return finish_; }
  /// The stop string that ended the answer; empty: none did.
  const std::string& stop() const { return stop_; }

 private:
  void open(AnswerBlock::Kind kind, std::string& out);
  void add_call(const ToolCallDelta& call, std::string& out);
  void begin_call(const ToolCallDelta& call, std::string& out);
  void grow_call(std::string_view arguments, std::string& out);
  void hold(const ToolCallDelta& call);
  void begin_held(std::string& out);
  void end_open(std::string& out);

  std::string id_;
  bool begun_ = false;
  std::optional<AnswerBlock::Kind> open_;  // the kind of the last block, unless it has ended
  std::size_t count_ = 0;
  std::map<std::uint32_t, std::size_t> calls_;  // the block of each that has begun
  CallArguments arguments_;                     // of the last call
  std::vector<ToolCallDelta> held_;             // those that came while another was open, in their order
  std::size_t held_bytes_ = 0;
  std::optional<FinishReason> finish_;
  std::string stop_;
};

}  // namespace autoglm::protocol
