# Turns the files of cl/ into byte arrays, so that the library needs no folder beside it and OpenCL
# tools can read the sources as they are.
#
#   cmake -DOUT=kernels.c -DFILES="a.cl;b.cl" -P EmbedKernels.cmake
set(arrays "")
set(table "")
foreach(path IN LISTS FILES)
  get_filename_component(name "${path}" NAME)
  string(MAKE_C_IDENTIFIER "${name}" identifier)
  file(READ "${path}" hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(REPEAT "0x..," 12 line)
  string(REGEX REPLACE "(${line})" "\\1\n" bytes "${bytes}")
  string(APPEND arrays "static const unsigned char ${identifier}[] = {\n${bytes}0x00};\n")
  string(APPEND table "    {\"${name}\", ${identifier}, sizeof ${identifier} - 1},\n")
endforeach()
file(WRITE "${OUT}" "/* Made by ci/cmake/EmbedKernels.cmake from cl/; do not edit. */
#include \"device/program.h\"

extern const clm_embedded_file clm_embedded_files[];
extern const size_t clm_embedded_file_count;

${arrays}
const clm_embedded_file clm_embedded_files[] = {
${table}};
const size_t clm_embedded_file_count = sizeof clm_embedded_files / sizeof *clm_embedded_files;
")
