#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::simulation {

/// The parts of a request that a server needs.
struct Order {
  std::uint64_t id = 0;
  bool chat = false;
  bool stream = false;
  bool usage = false;
  bool tokens = false;  // whether tokens are sent
  bool exact = false;   // continues after tokens
  std::uint32_t said = 0;
  std::uint32_t end = 0;
};

Order order_of(std::string_view path, std::string_view body, std::string_view request_id);

std::string chunk(std::string_view data);
/// A complete HTTP answer.
std::string with_length(int status, std::string_view body, std::string_view headers = "");
/// The whole rest of the text.
std::string whole_answer(const Order& order);
/// The pieces of a stream, in order; the last one ends it.
std::vector<std::string> stream_pieces(const Order& order);

}  // namespace autoglm::simulation
