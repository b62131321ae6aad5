# Compilers, flags and sanitizers for our own code. llama.cpp has flags of its own (third_party/llama).

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  message(FATAL_ERROR
    "gcc ${CMAKE_CXX_COMPILER_VERSION} miscompiles coroutines (docs/adr/0001-compiler.md). "
    "Use clang 19: `./dev build`, or -DCMAKE_CXX_COMPILER=clang++-19.")
endif()

find_program(AUTOGLM_CCACHE ccache)
if(AUTOGLM_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${AUTOGLM_CCACHE}")
  set(CMAKE_C_COMPILER_LAUNCHER "${AUTOGLM_CCACHE}")
endif()

set(AUTOGLM_SANITIZE "" CACHE STRING "Sanitizers: empty, 'address,undefined' or 'thread'")

# -g1: line tables for stack traces and profilers; full debug info costs minutes of linking on two cores.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1")

add_library(autoglm_flags INTERFACE)
target_compile_options(autoglm_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Wunused -Woverloaded-virtual
  -Werror -fno-omit-frame-pointer
  # Designated initializers are how options are passed here; the rest is what its struct says.
  -Wno-missing-designated-field-initializers)
target_compile_definitions(autoglm_flags INTERFACE AUTOGLM_VERSION="${PROJECT_VERSION}")
target_link_options(autoglm_flags INTERFACE -fuse-ld=lld)

if(AUTOGLM_SANITIZE)
  add_compile_options(-fsanitize=${AUTOGLM_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${AUTOGLM_SANITIZE})
endif()
option(AUTOGLM_FUZZ "Count edges for libFuzzer, and link it to tests/fuzz" OFF)
if(AUTOGLM_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
