#pragma once

#include "engine/kv/kv_operation.h"

#include <llama-cpp.h>

#include <cstdint>
#include <unordered_map>
#include <vector>

namespace autoglm::engine {

/// Sequences that were copied out of the cache, to come back without being computed again. In pieces, so that
/// what is still in the cache need not come back with the rest. Belongs to the engine's thread.
class SavedStates {
 public:
  /// `spare` is a sequence id that nobody else uses.
  SavedStates(llama_context* context, llama_seq_id spare) : context_(context), spare_(spare) {}

  void save(const KvOperation& operation);
  /// Needs room for up to `KvOperation::kPiece` cells more than it restores, for a moment.
  void restore(const KvOperation& operation);
  void drop(std::uint64_t state) { states_.erase(state); }

 private:
  struct Piece {
    llama_pos begin;
    llama_pos end;
    std::vector<std::uint8_t> bytes;
  };

  llama_context* context_;
  llama_seq_id spare_;
  std::unordered_map<std::uint64_t, std::vector<Piece>> states_;
};

}  // namespace autoglm::engine
