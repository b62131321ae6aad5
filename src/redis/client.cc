#include "redis/client.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <utility>

namespace autoglm::redis {

struct Client::Call {
  const Script& script;
  std::vector<std::string> keys;
  std::vector<std::string> arguments;
  OnReply then;
  Haste haste = Haste::kNow;
  bool whole = false;  ///< the script itself is sent
  unsigned redirections = 0;

  std::string command() const {
    const std::string count = std::to_string(keys.size());
    std::vector<std::string_view> words = {whole ? "EVAL" : "EVALSHA", whole ? script.source : script.digest,
                                           count};
    words.insert(words.end(), keys.begin(), keys.end());
    words.insert(words.end(), arguments.begin(), arguments.end());
    return format_command(words);
  }
};

Script Script::of(std::string source) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  EVP_Digest(source.data(), source.size(), digest.data(), &length, EVP_sha1(), nullptr);
  Script script{.source = std::move(source)};
  for (unsigned i = 0; i < length; ++i) script.digest += fmt::format("{:02x}", digest[i]);
  return script;
}

Client::Client(BlockingPool& names, const Options& options, Node::Told told)
    : names_(names), options_(options), told_(std::move(told)) {
  peers_.reserve(kMostNodes);
  peers_.push_back({});
  peers_[0].node = std::make_unique<Node>([this] { return dial_master(names_, options_); }, options_,
                                          [this](bool is_up, std::string_view why) { note(0, is_up, why); });
}

void Client::note(std::size_t peer, bool is_up, std::string_view why) {
  peers_[peer].is_up = is_up;
  // Another one may have taken over its slots: any node knows.
  if (!is_up) std::ranges::replace(peer_of_slot_, static_cast<std::uint8_t>(peer + 1), std::uint8_t{0});
  const bool any = std::ranges::any_of(peers_, &Peer::is_up);
  if (std::exchange(told_up_, any) != any) told_(any, why);
}

std::optional<std::size_t> Client::owner_of(std::string_view key) const {
  if (peer_of_slot_.empty()) return peers_.size() == 1 ? std::optional<std::size_t>(0) : std::nullopt;
  const std::size_t known = peer_of_slot_[slot_of(key)];
  return known == 0 ? std::nullopt : std::optional(known - 1);
}

/// The slot's node, or any other one that `fits`, which knows where the slot is.
std::size_t Client::route(std::string_view key, bool (Node::*fits)() const) const {
  const auto owner = owner_of(key);
  if (owner && (*peers_[*owner].node.*fits)()) return *owner;
  for (std::size_t i = 0; i < peers_.size(); ++i)
    if ((*peers_[i].node.*fits)()) return i;
  return 0;
}

bool Client::run(const Script& script, std::span<const std::string> keys,
                 std::span<const std::string> arguments, OnReply then) {
  const std::size_t peer = route(keys.front(), &Node::usable);
  if (!peers_[peer].node->usable()) return false;
  is_cluster_ = is_cluster_ || peers_[peer].node->is_cluster();
  send(std::make_shared<Call>(script, std::vector<std::string>(keys.begin(), keys.end()),
                              std::vector<std::string>(arguments.begin(), arguments.end()), std::move(then)),
       peer, false);
  return true;
}

void Client::tell(const Script& script, std::span<const std::string> keys,
                  std::span<const std::string> arguments) {
  send(std::make_shared<Call>(
           script, std::vector<std::string>(keys.begin(), keys.end()),
           std::vector<std::string>(arguments.begin(), arguments.end()), [](const Result<Reply>&) {},
           Haste::kLater),
       route(keys.front(), &Node::connected), false);
}

void Client::doubt(std::string_view key) {
  peers_[owner_of(key).value_or(route(key, &Node::usable))].node->doubt();
}

void Client::send(std::shared_ptr<Call> call, std::size_t peer, bool asking) {
  Node& node = *peers_[peer].node;
  if (asking) {
    static const std::string command = format_command(std::array<std::string_view, 1>{"ASKING"});
    OnReply ignored = [](const Result<Reply>&) {};
    node.send(command, ignored);
  }
  OnReply then = [this, call, peer](Result<Reply> reply) { answered(call, peer, std::move(reply)); };
  if (!node.send(call->command(), then, call->haste))
    call->then(fail(ErrorCode::kUnavailable, "Redis cannot be asked at present"));
}

void Client::answered(std::shared_ptr<Call> call, std::size_t peer, Result<Reply> reply) {
  // An error of the connection comes also while this is being destroyed.
  if (!reply || !reply->is_error()) return call->then(std::move(reply));
  if (reply->is_error("NOSCRIPT") && !call->whole) {
    call->whole = true;
    return send(std::move(call), peer, false);
  }
  if (redirected(call, peer, *reply)) return;
  if (reply->is_error("CROSSSLOT")) is_cluster_ = true;
  if (reply->is_error("READONLY")) peers_[peer].node->look_again();
  for (const std::string_view passing : {"LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN"})
    if (reply->is_error(passing)) peers_[peer].node->doubt();
  call->then(std::move(reply));
}

bool Client::redirected(const std::shared_ptr<Call>& call, std::size_t peer, const Reply& reply) {
  auto where = Redirection::parse(reply.text);
  if (!where || ++call->redirections > kMostRedirections) return false;
  is_cluster_ = true;
  if (where->target.host.empty())
    where->target.host = peer == 0 ? options_.address.host : peers_[peer].address.host;
  const auto next = peer_at(where->target);
  if (!next) return false;
  if (where->for_good) {
    if (peer_of_slot_.empty()) peer_of_slot_.resize(kSlots);
    peer_of_slot_[where->slot] = static_cast<std::uint8_t>(*next + 1);
  }
  send(call, *next, !where->for_good);
  return true;
}

std::optional<std::size_t> Client::peer_at(const HostPort& target) {
  const auto known = std::ranges::find(peers_, target, &Peer::address);
  if (known != peers_.end()) return static_cast<std::size_t>(known - peers_.begin());
  if (peers_.size() == kMostNodes) return std::nullopt;
  const std::size_t index = peers_.size();
  peers_.push_back({.address = target});
  peers_[index].node =
      std::make_unique<Node>([this, target] { return dial(names_, options_, target); }, options_,
                             [this, index](bool is_up, std::string_view why) { note(index, is_up, why); });
  return index;
}

}  // namespace autoglm::redis
