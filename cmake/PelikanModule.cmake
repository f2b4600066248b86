# One module = one target = one declaration of what it may include.
#
#   pelikan_module(protocol_ping HEADERS ping.h SOURCES ping.cc DEPS protocol
#                  LIBS fmt::fmt TESTS ping_test FUZZ ping_fuzz BENCH ping_bench TEST_DEPS testing)
#
# DEPS are modules and are checked: the test `layers` compares them with the #include lines.
# TEST_DEPS are modules that only the tests may include, TEST_HEADERS files that several of them share. LIBS are libraries
# from packages.
# A module's folder is the one that declares it. Every file in it is listed, or `layers` fails.

function(pelikan_settings TARGET)
  target_compile_features(${TARGET} PUBLIC cxx_std_23)
  set_target_properties(${TARGET} PROPERTIES CXX_EXTENSIONS OFF INTERPROCEDURAL_OPTIMIZATION ${PELIKAN_LTO})
  # libstdc++ 12 itself calls what it deprecates, in stable_sort: clang blames us for it, g++ does not.
  target_compile_options(${TARGET} PRIVATE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -fno-omit-frame-pointer
    $<$<AND:$<CXX_COMPILER_ID:GNU>,$<CONFIG:Release>>:-Wno-restrict>  # g++ 12 sees overlaps in string + string at -O3
    $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety;-Wno-deprecated-declarations>)
  if(PELIKAN_SANITIZE)
    target_compile_options(${TARGET} PRIVATE -fsanitize=${PELIKAN_SANITIZE} -fno-sanitize-recover=all)
    target_link_options(${TARGET} PRIVATE -fsanitize=${PELIKAN_SANITIZE})
  endif()
endfunction()

function(pelikan_executable TARGET)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS;LIBS" ${ARGN})
  add_executable(${TARGET} ${A_SOURCES})
  pelikan_settings(${TARGET})
  list(TRANSFORM A_DEPS PREPEND pelikan_)
  target_link_libraries(${TARGET} PRIVATE ${A_DEPS} ${A_LIBS})
endfunction()

function(pelikan_module NAME)
  cmake_parse_arguments(A "" "" "HEADERS;SOURCES;DEPS;LIBS;TESTS;FUZZ;BENCH;TEST_DEPS;TEST_HEADERS" ${ARGN})
  if(A_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "pelikan_module(${NAME}): unknown words ${A_UNPARSED_ARGUMENTS}")
  endif()
  set(target pelikan_${NAME})
  set(scope PUBLIC)
  if(A_SOURCES)
    add_library(${target} STATIC ${A_SOURCES})
    pelikan_settings(${target})
  else()
    add_library(${target} INTERFACE)
    target_compile_features(${target} INTERFACE cxx_std_23)
    set(scope INTERFACE)
  endif()
  target_sources(${target} ${scope} FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR}/src FILES ${A_HEADERS})
  target_include_directories(${target} ${scope} ${PROJECT_SOURCE_DIR}/src)
  set(deps ${A_DEPS})
  list(TRANSFORM deps PREPEND pelikan_)
  target_link_libraries(${target} ${scope} ${deps} ${A_LIBS})
  # all_verify_interface_header_sets compiles each header alone.
  set_target_properties(${target} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)

  file(RELATIVE_PATH dir ${PROJECT_SOURCE_DIR}/src ${CMAKE_CURRENT_SOURCE_DIR})
  string(REPLACE ";" "," deps_text "${A_DEPS}")
  string(REPLACE ";" "," test_deps_text "${A_TEST_DEPS}")
  set(test_files ${A_TESTS} ${A_FUZZ} ${A_BENCH})
  list(TRANSFORM test_files APPEND .cc)
  set(files ${A_HEADERS} ${A_SOURCES} ${test_files})
  string(REPLACE ";" "," files_text "${files}")
  string(REPLACE ";" "," test_headers_text "${A_TEST_HEADERS}")
  set_property(GLOBAL APPEND_STRING PROPERTY PELIKAN_LAYERS
               "${NAME}|${dir}|${deps_text}|${test_deps_text}|${files_text}|${test_headers_text}\n")
  if(A_TEST_HEADERS)
    set(test_deps ${NAME} ${A_TEST_DEPS})
    list(TRANSFORM test_deps PREPEND pelikan_)
    add_library(${target}_test_headers INTERFACE)
    target_sources(${target}_test_headers INTERFACE FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR}/src
                   FILES ${A_TEST_HEADERS})
    target_link_libraries(${target}_test_headers INTERFACE ${test_deps} GTest::gtest)
    set_target_properties(${target}_test_headers PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
  endif()

  foreach(test ${A_TESTS})
    pelikan_executable(${NAME}_${test} SOURCES ${test}.cc DEPS ${NAME} ${A_TEST_DEPS} LIBS GTest::gtest GTest::gtest_main)
    add_test(NAME ${NAME}.${test} COMMAND ${NAME}_${test})
    set_tests_properties(${NAME}.${test} PROPERTIES TIMEOUT 300)
  endforeach()
  foreach(fuzz ${A_FUZZ})
    pelikan_fuzz(${NAME} ${fuzz} "${A_TEST_DEPS}")
  endforeach()
  foreach(bench ${A_BENCH})
    pelikan_executable(${NAME}_${bench} SOURCES ${bench}.cc DEPS ${NAME} ${A_TEST_DEPS} LIBS benchmark::benchmark_main)
    add_test(NAME ${NAME}.${bench} COMMAND ${NAME}_${bench} --benchmark_min_time=0.001)
    set_tests_properties(${NAME}.${bench} PROPERTIES LABELS bench)
  endforeach()
endfunction()

# A fuzz target is built by every build: with a plain main that replays its corpus, or with libFuzzer.
function(pelikan_fuzz MODULE FUZZ TEST_DEPS)
  set(target ${MODULE}_${FUZZ})
  if(PELIKAN_LIBFUZZER)
    pelikan_executable(${target} SOURCES ${FUZZ}.cc DEPS ${MODULE} ${TEST_DEPS})
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
  else()
    pelikan_executable(${target} SOURCES ${FUZZ}.cc ${PROJECT_SOURCE_DIR}/src/testing/fuzz_main.cc
                       DEPS ${MODULE} ${TEST_DEPS})
  endif()
  set(corpus ${CMAKE_CURRENT_SOURCE_DIR}/${FUZZ}_corpus)
  set_property(GLOBAL APPEND_STRING PROPERTY PELIKAN_FUZZ_TARGETS "${target} ${corpus}\n")
  if(NOT PELIKAN_LIBFUZZER)
    add_test(NAME ${MODULE}.${FUZZ} COMMAND ${target} ${corpus})
  endif()
endfunction()

# A server or tool: a main, its modules, a binary named pelikan-<NAME>.
function(pelikan_server NAME)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS;LIBS" ${ARGN})
  pelikan_executable(pelikan-${NAME} SOURCES ${A_SOURCES} DEPS ${A_DEPS} LIBS ${A_LIBS})
  file(RELATIVE_PATH dir ${PROJECT_SOURCE_DIR}/src ${CMAKE_CURRENT_SOURCE_DIR})
  string(REPLACE ";" "," deps_text "${A_DEPS}")
  string(REPLACE ";" "," files_text "${A_SOURCES}")
  set_property(GLOBAL APPEND_STRING PROPERTY PELIKAN_LAYERS "pelikan-${NAME}|${dir}|${deps_text}||${files_text}|\n")
endfunction()

# For the checks, one line each: layers.txt (see scripts/checks/layers.py) and fuzz_targets.txt (target corpus).
function(pelikan_write_layers)
  get_property(layers GLOBAL PROPERTY PELIKAN_LAYERS)
  file(WRITE ${CMAKE_BINARY_DIR}/layers.txt "${layers}")
  get_property(fuzz GLOBAL PROPERTY PELIKAN_FUZZ_TARGETS)
  file(WRITE ${CMAKE_BINARY_DIR}/fuzz_targets.txt "${fuzz}")
endfunction()
