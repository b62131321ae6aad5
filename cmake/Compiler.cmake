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
# Which branches are taken and which functions matter, as counted in a server at work (`./dev profile`,
# docs/adr/0013-profile.md). Functions that the profile does not know, or that have changed since, are compiled as without it.
set(AUTOGLM_PROFILE "" CACHE STRING "use: optimize by cmake/open-autoglm.profdata; make: count for a new one; empty: neither")
set(AUTOGLM_PROFILE_DATA "${CMAKE_CURRENT_SOURCE_DIR}/cmake/open-autoglm.profdata")
if(AUTOGLM_PROFILE AND NOT (CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 19))
  message(STATUS "The profile is clang's: this build goes without")
elseif(AUTOGLM_PROFILE STREQUAL "make")
  add_compile_options(-fprofile-generate)
  add_link_options(-fprofile-generate)
elseif(AUTOGLM_PROFILE STREQUAL "use" AND EXISTS "${AUTOGLM_PROFILE_DATA}")
  add_compile_options("-fprofile-use=${AUTOGLM_PROFILE_DATA}" -Wno-profile-instr-unprofiled -Wno-profile-instr-out-of-date -Wno-backend-plugin)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${AUTOGLM_PROFILE_DATA}")
endif()

option(AUTOGLM_FUZZ "Count edges for libFuzzer, and link it to tests/fuzz" OFF)
if(AUTOGLM_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
