# Runs COMMAND, a list, and writes what it prints to OUTPUT; fails when it fails.
execute_process(COMMAND ${COMMAND} OUTPUT_FILE "${OUTPUT}" RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  file(REMOVE "${OUTPUT}")
  message(FATAL_ERROR "${COMMAND}: ${result}")
endif()
