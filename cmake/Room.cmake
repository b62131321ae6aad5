# A room is one folder under src/, one static library, one test binary. Its link list is the architecture:
#
#   add_room(config
#     SOURCES  tree.cc ...
#     ALONE    generated.cc            # sources that must be compiled alone, each with its reason beside it
#     TESTS    tree_test.cc ...        # become the binary config_test, found by ctest test by test
#     TESTING  testing/fake_clock.cc   # the room's kept fakes: library config_testing, for tests of other rooms
#     DEPENDS  base fmt::fmt           # rooms below, and packages that its headers show
#     PRIVATE  yaml-cpp::yaml-cpp      # packages that only its sources see
#     TEST_DEPENDS runtime_testing)
#
# A nested room is named with a slash: gateway/protocol is the target gateway_protocol.
include(GoogleTest)
include(Unity)

# Three quarters of a source's compile time go into headers that its neighbours read as well. Compiled eight at a time, sources
# read them once (docs/adr/0015-first-build.md). Presets with OFF prove that each source compiles by itself.
option(AUTOGLM_UNITY "Compile a room's sources several at a time" OFF)

function(add_room path)
  cmake_parse_arguments(ARG "" "" "SOURCES;ALONE;TESTS;TESTING;DEPENDS;PRIVATE;TEST_DEPENDS" ${ARGN})
  string(REPLACE "/" "_" name "${path}")

  if(AUTOGLM_UNITY)
    unite(ARG_SOURCES ${name} "${CMAKE_SOURCE_DIR}/src" 8 ${ARG_SOURCES})
  endif()
  add_library(${name} STATIC ${ARG_SOURCES} ${ARG_ALONE})
  target_include_directories(${name} PUBLIC "${CMAKE_SOURCE_DIR}/src")
  target_link_libraries(${name} PUBLIC ${ARG_DEPENDS} PRIVATE ${ARG_PRIVATE} autoglm_flags)

  if(ARG_TESTING)
    add_library(${name}_testing STATIC ${ARG_TESTING})
    target_link_libraries(${name}_testing PUBLIC ${name} ${ARG_TEST_DEPENDS} GTest::gtest PRIVATE autoglm_flags)
  endif()

  if(ARG_TESTS)
    add_executable(${name}_test ${ARG_TESTS})
    target_link_libraries(${name}_test PRIVATE ${name} ${ARG_PRIVATE} ${ARG_TEST_DEPENDS} GTest::gmock_main autoglm_flags)
    if(ARG_TESTING)
      target_link_libraries(${name}_test PRIVATE ${name}_testing)
    endif()
    # Printed values make poor names: those of pointers differ in each run.
    gtest_discover_tests(${name}_test TEST_PREFIX "${path}:" DISCOVERY_MODE PRE_TEST NO_PRETTY_VALUES PROPERTIES LABELS quick)
  endif()
endfunction()
