#include "engine/backends/llama/saved_states.h"

#include <algorithm>
#include <utility>

namespace autoglm::engine {

void SavedStates::save(const KvOperation& operation) {
  llama_memory_t memory = llama_get_memory(context_);
  std::vector<Piece>& pieces = states_[operation.state];
  const auto end = static_cast<llama_pos>(operation.end);
  for (auto begin = static_cast<llama_pos>(operation.begin); begin < end;) {
    Piece piece{.begin = begin, .end = std::min(end, begin + static_cast<llama_pos>(kPiece)), .bytes = {}};
    llama_memory_seq_cp(memory, operation.from, spare_, piece.begin, piece.end);
    piece.bytes.resize(llama_state_seq_get_size(context_, spare_));
    llama_state_seq_get_data(context_, piece.bytes.data(), piece.bytes.size(), spare_);
    llama_memory_seq_rm(memory, spare_, -1, -1);
    begin = piece.end;
    pieces.push_back(std::move(piece));
  }
}

/// A failed restore leaves a gap, for which the next step is refused: an error, never garbage.
void SavedStates::restore(const KvOperation& operation) {
  llama_memory_t memory = llama_get_memory(context_);
  const auto wanted = [&](llama_pos at) {
    return std::clamp(at, static_cast<llama_pos>(operation.begin), static_cast<llama_pos>(operation.end));
  };
  for (const Piece& piece : states_[operation.state]) {
    const llama_pos begin = wanted(piece.begin);
    const llama_pos end = wanted(piece.end);
    if (begin == end) continue;
    llama_state_seq_set_data(context_, piece.bytes.data(), piece.bytes.size(), spare_);
    llama_memory_seq_cp(memory, spare_, operation.to, begin, end);
    llama_memory_seq_rm(memory, spare_, -1, -1);
  }
}

}  // namespace autoglm::engine
