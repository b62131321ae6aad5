#include "config/yaml.h"

#include "base/utf8.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <map>
#include <optional>
#include <sstream>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace autoglm::config {

namespace {

/// Thrown through yaml-cpp's parser, which has no other way to stop; caught in parse_yaml().
struct Refusal {
  Diagnostic diagnostic;
};

/// Whether a scalar that begins at `text` (perhaps with an anchor or a tag) is quoted, and its quote closed.
/// yaml-cpp 0.7 takes the end of the file for a closing quote and swallows everything in between.
bool closes_its_quote(std::string_view text) {
  while (text.starts_with('&') || text.starts_with('!')) {
    text.remove_prefix(std::min(text.find_first_of(" \n"), text.size()));
    text.remove_prefix(std::min(text.find_first_not_of(" \n"), text.size()));
  }
  if (text.empty() || (text[0] != '"' && text[0] != '\'')) return true;
  const char quote = text[0];
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '\\' && quote == '"') {
      ++i;
    } else if (text[i] == quote) {
      const bool doubled = quote == '\'' && i + 1 < text.size() && text[i + 1] == quote;
      if (!doubled) return true;
      ++i;
    }
  }
  return false;
}

/// Builds the tree from the parser's events. yaml-cpp's own Node shares aliased nodes instead of counting
/// them, and does not report duplicate keys.
class TreeBuilder final : public YAML::EventHandler {
 public:
  TreeBuilder(std::string name, std::string_view text, const YamlLimits& limits, Diagnostics& problems)
      : name_(std::move(name)), text_(text), limits_(limits), problems_(problems) {}

  Node take_root() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (documents_++ > 0) refuse(at(mark), "a second YAML document; a configuration is one");
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add(count({.kind = Node::Kind::kNull, .location = at(mark)}), anchor);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    check_tag(mark, tag);
    if (!closes_its_quote(text_.substr(std::min(static_cast<std::size_t>(mark.pos), text_.size())))) {
      refuse(at(mark), "a quote that is never closed");
    }
    add(count({.kind = Node::Kind::kScalar, .text = value, .location = at(mark)}), anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) refuse(at(mark), "an alias inside the value that it stands for");
    add(count(found->second), 0);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(Node::Kind::kSequence, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(Node::Kind::kMapping, mark, tag, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  /// A collection that is not closed yet.
  struct Frame {
    Node node;
    YAML::anchor_t anchor;
    std::string path;
    std::optional<std::pair<std::string, Location>> key = {};
    std::unordered_map<std::string, int> first_lines = {};  ///< of the keys seen
  };

  Location at(const YAML::Mark& mark) const {
    return {ValueOrigin::kFile, name_, mark.line + 1, mark.column + 1};
  }

  [[noreturn]] void refuse(const Location& location, std::string message) {
    throw Refusal{{location, stack_.empty() ? "" : path_of_next(), std::move(message)}};
  }

  void check_tag(const YAML::Mark& mark, const std::string& tag) {
    if (tag.empty() || tag == "?" || tag == "!" || tag.starts_with("tag:yaml.org,2002:")) return;
    refuse(at(mark), "the tag " + quoted(tag) + " means nothing here; remove it");
  }

  /// Counts `node` and everything in it, which an alias may have multiplied.
  Node count(Node node) {
    std::size_t deepest = 0;
    nodes_ += size_of(node, 0, deepest);
    if (nodes_ > limits_.nodes) {
      refuse(node.location,
             "more than " + std::to_string(limits_.nodes) + " values (aliases count each time)");
    }
    check_depth(stack_.size() + deepest, node.location);
    return node;
  }

  void check_depth(std::size_t depth, const Location& location) {
    if (depth > limits_.depth)
      refuse(location, "nested more than " + std::to_string(limits_.depth) + " levels deep");
  }

  static std::size_t size_of(const Node& node, std::size_t depth, std::size_t& deepest) {
    deepest = std::max(deepest, depth);
    std::size_t size = 1;
    for (const Node& item : node.items) size += size_of(item, depth + 1, deepest);
    for (const Node::Member& member : node.members) size += size_of(member.value, depth + 1, deepest);
    return size;
  }

  std::string path_of_next() const {
    const Frame& top = stack_.back();
    if (top.node.kind == Node::Kind::kSequence)
      return top.path + '[' + std::to_string(top.node.items.size()) + ']';
    return top.key ? join_path(top.path, top.key->first) : top.path;
  }

  void open(Node::Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    check_tag(mark, tag);
    const bool as_key =
        !stack_.empty() && stack_.back().node.kind == Node::Kind::kMapping && !stack_.back().key;
    if (as_key) refuse(at(mark), "a key must be a name, not " + std::string(to_string(kind)));
    Node node = count({.kind = kind, .location = at(mark)});
    std::string path = stack_.empty() ? "" : path_of_next();
    stack_.push_back({.node = std::move(node), .anchor = anchor, .path = std::move(path)});
    check_depth(stack_.size(), stack_.back().node.location);
  }

  void close() {
    Frame frame = std::move(stack_.back());
    stack_.pop_back();
    add(std::move(frame.node), frame.anchor);
  }

  void add(Node node, YAML::anchor_t anchor) {
    // The kept copy counts too: nested anchors would otherwise keep one more copy of the tree per level.
    if (anchor != 0) anchors_.insert_or_assign(anchor, count(node));
    if (stack_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& top = stack_.back();
    if (top.node.kind == Node::Kind::kSequence) {
      top.node.items.push_back(std::move(node));
    } else if (!top.key) {
      if (node.kind != Node::Kind::kScalar)
        refuse(node.location, "a key must be a name, not " + std::string(to_string(node.kind)));
      top.key.emplace(std::move(node.text), std::move(node.location));
    } else {
      add_member(top, std::move(node));
    }
  }

  void add_member(Frame& frame, Node node) {
    auto [key, location] = *std::exchange(frame.key, std::nullopt);
    // The parser marks the place where a missing value could have been.
    if (node.kind == Node::Kind::kNull) node.location = location;
    const auto [first, fresh] = frame.first_lines.emplace(key, location.line);
    if (!fresh) {
      problems_.push_back(
          {location, join_path(frame.path, key),
           "duplicate key, first written in line " + std::to_string(first->second) + "; keep one"});
      return;
    }
    frame.node.members.push_back({std::move(key), std::move(location), std::move(node)});
  }

  std::string name_;
  std::string_view text_;
  YamlLimits limits_;
  int documents_ = 0;
  std::size_t nodes_ = 0;
  Node root_;
  std::vector<Frame> stack_;
  std::map<YAML::anchor_t, Node> anchors_;
  Diagnostics& problems_;
};

/// The first byte that is not UTF-8, or the first control character, which YAML forbids.
std::optional<Diagnostic> find_bad_byte(const std::string& name, std::string_view text) {
  Location here{ValueOrigin::kFile, name, 1, 1};
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    if (step.kind != Utf8Step::Kind::kCharacter)
      return Diagnostic{here, "", "bytes that are not UTF-8; save the file as UTF-8"};
    const auto byte = static_cast<unsigned char>(text.front());
    if ((byte < 0x20 && byte != '\n' && byte != '\r' && byte != '\t') || byte == 0x7f) {
      return Diagnostic{here, "", "a control character; remove it"};
    }
    here.column = byte == '\n' ? 1 : here.column + 1;
    here.line += byte == '\n' ? 1 : 0;
    text.remove_prefix(step.length);
  }
  return std::nullopt;
}

/// yaml-cpp's message, with advice about common mistakes.
std::string explain(const std::string& message, std::string_view line) {
  if (line.find('\t') < line.find_first_not_of(" \t")) return "a tab in the indentation; YAML wants spaces";
  return "YAML syntax: " + message;
}

std::string_view line_of(std::string_view text, int number) {
  for (; number > 0 && !text.empty(); --number)
    text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
  return text.substr(0, text.find('\n'));
}

/// The last line that is more than a comment, with its comment removed, and its number.
std::pair<std::string_view, int> last_line(std::string_view text) {
  std::pair<std::string_view, int> last{"", 1};
  for (int number = 1; !text.empty(); ++number) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (const std::size_t comment = line.find(" #"); comment != std::string_view::npos)
      line = line.substr(0, comment);
    const std::size_t begin = line.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos || line[begin] == '#') continue;
    last = {line.substr(begin, line.find_last_not_of(" \t\r") + 1 - begin), number};
  }
  return last;
}

}  // namespace

std::optional<Diagnostic> find_cut(const std::string& name, std::string_view text, const Node& tree) {
  const bool holds_nothing =
      tree.kind == Node::Kind::kNull || (tree.kind == Node::Kind::kMapping && tree.members.empty());
  if (holds_nothing) return Diagnostic{{ValueOrigin::kFile, name, 1, 1}, "", "the file is empty"};
  const Node* last = &tree;
  while (!last->members.empty() || !last->items.empty())
    last = last->members.empty() ? &last->items.back() : &last->members.back().value;
  const auto [line, number] = last_line(text);
  // A `null` written out is a value.
  const bool ends_open = line.ends_with(':') || line == "-" || line.ends_with(" -");
  if (last->kind != Node::Kind::kNull || !ends_open) return std::nullopt;
  return Diagnostic{{ValueOrigin::kFile, name, number, 1},
                    "",
                    "the file ends with " + quoted(std::string(line)) + ", before what belongs there"};
}

std::optional<Node> parse_yaml(const std::string& name, const std::string& text, Diagnostics& problems,
                               const YamlLimits& limits) {
  const Location start{ValueOrigin::kFile, name, 0, 0};
  if (text.size() > limits.bytes) {
    problems.push_back(
        {start, "", "more than " + std::to_string(limits.bytes) + " bytes; is this a configuration?"});
    return std::nullopt;
  }
  if (auto bad = find_bad_byte(name, text)) {
    problems.push_back(std::move(*bad));
    return std::nullopt;
  }
  TreeBuilder builder(name, text, limits, problems);
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (Refusal& refusal) {
    problems.push_back(std::move(refusal.diagnostic));
    return std::nullopt;
  } catch (const YAML::Exception& exception) {
    Location here = start;
    if (!exception.mark.is_null()) {
      here.line = exception.mark.line + 1;
      here.column = exception.mark.column + 1;
    }
    problems.push_back({here, "", explain(exception.msg, line_of(text, exception.mark.line))});
    return std::nullopt;
  }
  Node root = builder.take_root();
  if (root.kind == Node::Kind::kNull)
    root = {.kind = Node::Kind::kMapping, .location = {ValueOrigin::kFile, name, 1, 1}};
  return root;
}

}  // namespace autoglm::config
