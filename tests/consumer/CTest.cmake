# Included by tests/CMakeLists.txt; this folder's own CMakeLists.txt is the consumer's project.
foreach(kind static shared)
  add_test(NAME consumer/${kind} COMMAND "${CMAKE_CURRENT_LIST_DIR}/test_install.sh"
    "${PROJECT_SOURCE_DIR}" "${PROJECT_BINARY_DIR}/consumer-${kind}" "${CMAKE_COMMAND}"
    "${CMAKE_GENERATOR}" "${PROJECT_VERSION}" ${kind}
    "-DCMAKE_BUILD_TYPE=Debug" "-DCLM_WITH_CLBLAST=${CLM_WITH_CLBLAST}"
    "-DCLM_WITH_CURL=${CLM_WITH_CURL}" "-DCLM_WITH_CAIRO=${CLM_WITH_CAIRO}")
  set_tests_properties(consumer/${kind} PROPERTIES LABELS "consumer" TIMEOUT 600
    PROCESSORS 2)
endforeach()
# What the shared one's build made is installed in other ways.
add_test(NAME consumer/variants COMMAND "${CMAKE_CURRENT_LIST_DIR}/test_variants.sh"
  "${PROJECT_SOURCE_DIR}" "${PROJECT_BINARY_DIR}/consumer-shared/build"
  "${CMAKE_COMMAND}" "${CMAKE_GENERATOR}" "${PROJECT_VERSION}")
add_test(NAME consumer/subproject COMMAND "${CMAKE_CURRENT_LIST_DIR}/test_subproject.sh"
  "${PROJECT_SOURCE_DIR}" "${PROJECT_BINARY_DIR}/consumer-subproject" "${CMAKE_COMMAND}"
  "${CMAKE_GENERATOR}" "-DCLM_WITH_CLBLAST=${CLM_WITH_CLBLAST}"
  "-DCLM_WITH_CURL=${CLM_WITH_CURL}" "-DCLM_WITH_CAIRO=${CLM_WITH_CAIRO}")
set_tests_properties(consumer/shared PROPERTIES FIXTURES_SETUP consumer_shared)
set_tests_properties(consumer/variants PROPERTIES FIXTURES_REQUIRED consumer_shared)
set_tests_properties(consumer/variants consumer/subproject PROPERTIES
  LABELS consumer TIMEOUT 600 PROCESSORS 2)
