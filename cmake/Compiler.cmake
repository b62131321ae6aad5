# Compilers, flags and sanitizers for our own code. llama.cpp has its own flags (third_party/llama).

list(GET clang_versions 0 oldest_clang)
set(compiler "${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION} (${CMAKE_CXX_COMPILER})")
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  message(FATAL_ERROR
    "${compiler} is too old: gcc before 13 miscompiles coroutines (docs/adr/0001-compiler.md). "
    "Use clang ${oldest_clang}: `./dev build`, or unset CC and CXX.")
elseif(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS oldest_clang)
  message(FATAL_ERROR "${compiler} is too old: clang ${oldest_clang} or newer is needed. `./dev build` installs and takes one; or unset CC and CXX.")
endif()
include(CheckCXXSourceCompiles)
check_cxx_source_compiles("#include <expected>\nint main() { return std::expected<int, int>(0).value(); }" AUTOGLM_HAS_EXPECTED)
if(NOT AUTOGLM_HAS_EXPECTED)
  message(FATAL_ERROR "The standard library that ${compiler} uses is too old: it has no std::expected. libstdc++ 12 or newer is needed (libstdc++-12-dev).")
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
  # Options are passed here as designated initializers; members left out keep their struct's defaults.
  -Wno-missing-designated-field-initializers)
target_compile_definitions(autoglm_flags INTERFACE AUTOGLM_VERSION="${PROJECT_VERSION}")
# gcc looks for "ld.lld", which Debian installs only in clang's own folder.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(TRANSFORM clang_versions REPLACE "^(.*)$" "/usr/lib/llvm-\\1/bin" OUTPUT_VARIABLE lld_folders)
  find_program(AUTOGLM_LLD ld.lld PATHS ${lld_folders} REQUIRED)
  cmake_path(GET AUTOGLM_LLD PARENT_PATH lld_folder)
  target_link_options(autoglm_flags INTERFACE "-B${lld_folder}")
endif()
target_link_options(autoglm_flags INTERFACE -fuse-ld=lld)

if(AUTOGLM_SANITIZE)
  add_compile_options(-fsanitize=${AUTOGLM_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${AUTOGLM_SANITIZE})
endif()
# Which branches are taken and which functions are hot, as counted in a running server (`./dev profile`,
# docs/adr/0013-profile.md). Functions that the profile lacks, or that have changed since, are compiled without it.
set(AUTOGLM_PROFILE "" CACHE STRING "use: optimize by cmake/open-autoglm.profdata; make: count for a new one; empty: neither")
set(AUTOGLM_PROFILE_DATA "${CMAKE_CURRENT_SOURCE_DIR}/cmake/open-autoglm.profdata")
# Local functions are named after their file without its folders; all united sources share that name (cmake/Unity.cmake).
set(profile_names -mllvm -static-func-full-module-prefix=false)
if(AUTOGLM_PROFILE AND NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  message(STATUS "The profile is clang's: this build goes without")
elseif(AUTOGLM_PROFILE STREQUAL "make")
  add_compile_options(-fprofile-generate ${profile_names})
  add_link_options(-fprofile-generate)
elseif(AUTOGLM_PROFILE STREQUAL "use")
  # Its format is clang 19's: older ones cannot read it, and a newer one may cease to.
  set(CMAKE_REQUIRED_FLAGS "\"-fprofile-use=${AUTOGLM_PROFILE_DATA}\" -mllvm -static-func-full-module-prefix=false")
  check_cxx_source_compiles("int main() {}" AUTOGLM_READS_PROFILE)
  unset(CMAKE_REQUIRED_FLAGS)
  if(AUTOGLM_READS_PROFILE)
    add_compile_options("-fprofile-use=${AUTOGLM_PROFILE_DATA}" ${profile_names}
      -Wno-profile-instr-unprofiled -Wno-profile-instr-out-of-date -Wno-backend-plugin)
  else()
    message(STATUS "${compiler} does not read cmake/open-autoglm.profdata: this build goes without the profile")
  endif()
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${AUTOGLM_PROFILE_DATA}")
endif()

option(AUTOGLM_FUZZ "Count edges for libFuzzer, and link it to tests/fuzz" OFF)
if(AUTOGLM_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
