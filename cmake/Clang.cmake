# Which clang compiles, decided once for llama.cpp and for our own code: the first of cmake/clang-versions that is installed.
# tools/dev/packages.sh installs by the same list. CC, CXX and -DCMAKE_CXX_COMPILER take precedence. Include before project().
file(STRINGS "${CMAKE_CURRENT_LIST_DIR}/clang-versions" clang_versions)
list(TRANSFORM clang_versions PREPEND clang++- OUTPUT_VARIABLE clang_names)

if(NOT DEFINED CMAKE_CXX_COMPILER AND NOT DEFINED ENV{CXX})
  find_program(AUTOGLM_CLANG NAMES ${clang_names} DOC "The clang that compiles")
  if(NOT AUTOGLM_CLANG)
    list(GET clang_versions 0 oldest)
    message(FATAL_ERROR "There is no clang ${oldest} or newer (looked for: ${clang_names}). Run ./dev setup, or name a compiler in CC and CXX.")
  endif()
  set(CMAKE_CXX_COMPILER "${AUTOGLM_CLANG}")
  if(NOT DEFINED CMAKE_C_COMPILER AND NOT DEFINED ENV{CC})
    string(REPLACE "clang++" "clang" CMAKE_C_COMPILER "${AUTOGLM_CLANG}")
  endif()
endif()
