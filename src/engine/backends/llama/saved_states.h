#pragma once

#include "engine/kv/kv_operation.h"

#include <llama-cpp.h>

#include <cstdint>
#include <unordered_map>
#include <vector>

namespace autoglm::engine {

/// Sequences copied out of the cache, to be restored without computing them again. They are kept in pieces,
/// so that pieces still in the cache need not be restored with the rest. Belongs to the engine's thread.
class SavedStates {
 public:
  static constexpr std::uint32_t kPiece = 64;  ///< cells that are kept together

  /// `spare` is a sequence id that is not used otherwise.
  SavedStates(llama_context* context, llama_seq_id spare) : context_(context), spare_(spare) {}

  void save(const KvOperation& operation);
  /// Briefly needs up to `kPiece` cells more than it restores.
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
