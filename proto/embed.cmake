# Writes the file IN into the C++ source OUT, as autoglm::served_descriptors().
file(READ "${IN}" bytes HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
string(REGEX REPLACE "(....................................................................................................)" "\\1\n" bytes "${bytes}")
file(WRITE "${OUT}" "#include <string_view>\n\nnamespace autoglm {\n\nstd::string_view served_descriptors();\n
std::string_view served_descriptors() {
  static constexpr unsigned char kBytes[] = {\n${bytes}\n};
  return {reinterpret_cast<const char*>(kBytes), sizeof kBytes};
}\n\n}  // namespace autoglm\n")
