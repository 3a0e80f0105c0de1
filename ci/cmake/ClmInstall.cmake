# `cmake --install`: the library, its headers, the command, a CMake package (find_package(clm),
# target clm::clm) and clm.pc. tests/consumer uses both.
include(CMakePackageConfigHelpers)

set(CLM_PACKAGE_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/clm")
set(CLM_PKGCONFIG_DIR "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

install(TARGETS clm EXPORT clmTargets
  ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/clm" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
  FILES_MATCHING PATTERN "*.h")
if(TARGET clm_command)
  install(TARGETS clm_command RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
  if(TARGET clm_pages)
    install(DIRECTORY "${PROJECT_BINARY_DIR}/share/man1" DESTINATION "${CMAKE_INSTALL_MANDIR}")
    install(FILES "${PROJECT_BINARY_DIR}/share/completions/clm"
      DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions")
  endif()
endif()

get_target_property(clm_type clm TYPE)
if(clm_type STREQUAL "STATIC_LIBRARY")
  set(CLM_IS_STATIC ON)
else()
  set(CLM_IS_STATIC OFF)
endif()
configure_package_config_file("${PROJECT_SOURCE_DIR}/ci/cmake/clmConfig.cmake.in"
  "${PROJECT_BINARY_DIR}/clmConfig.cmake" INSTALL_DESTINATION "${CLM_PACKAGE_DIR}")
# Before 1.0 a minor version may break what came before.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/clmConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/clmConfig.cmake" "${PROJECT_BINARY_DIR}/clmConfigVersion.cmake"
  DESTINATION "${CLM_PACKAGE_DIR}")
install(EXPORT clmTargets NAMESPACE clm:: DESTINATION "${CLM_PACKAGE_DIR}")

# The prefix is found from where clm.pc lies, so that an installed tree can be moved; unless folders
# are absolute, and stay where they are.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}" OR IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
  set(CLM_PC_PREFIX "${CMAKE_INSTALL_PREFIX}")
else()
  file(RELATIVE_PATH CLM_PC_PREFIX "/${CLM_PKGCONFIG_DIR}" "/")
  string(REGEX REPLACE "/$" "" CLM_PC_PREFIX "${CLM_PC_PREFIX}")
  set(CLM_PC_PREFIX "\${pcfiledir}/${CLM_PC_PREFIX}")
endif()
foreach(folder LIBDIR INCLUDEDIR)
  set(CLM_PC_${folder} "${CMAKE_INSTALL_${folder}}")
  if(NOT IS_ABSOLUTE "${CLM_PC_${folder}}")
    set(CLM_PC_${folder} "\${prefix}/${CLM_PC_${folder}}")
  endif()
endforeach()
# Blanks end a flag, unless they are quoted, which pkg-config does in what it knows to be folders
# only.
string(REPLACE " " "\\ " CLM_PC_PREFIX "${CLM_PC_PREFIX}")
string(REPLACE " " "\\ " CLM_PC_LIBDIR "${CLM_PC_LIBDIR}")
string(REPLACE " " "\\ " CLM_PC_INCLUDEDIR "${CLM_PC_INCLUDEDIR}")
# Where only libclm.a is installed, every user needs what it stands on. As Requires.private that
# would come with `pkg-config --static` alone, and with all that curl and cairo stand on as well.
string(REPLACE ";" " " CLM_PC_MODULES "${CLM_PKGCONFIG_MODULES}")
if(CLM_IS_STATIC)
  set(CLM_PC_REQUIRES "Requires: ${CLM_PC_MODULES}")
  set(CLM_PC_LIBS " -pthread -lm")
  set(CLM_PC_LIBS_PRIVATE "")
else()
  set(CLM_PC_REQUIRES "Requires.private: ${CLM_PC_MODULES}")
  set(CLM_PC_LIBS "")
  set(CLM_PC_LIBS_PRIVATE "-pthread -lm")
endif()
configure_file("${PROJECT_SOURCE_DIR}/ci/cmake/clm.pc.in" "${PROJECT_BINARY_DIR}/clm.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/clm.pc" DESTINATION "${CLM_PKGCONFIG_DIR}")
