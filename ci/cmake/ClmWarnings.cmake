# What every target of clm is compiled with.
add_library(clm_options INTERFACE)
target_compile_options(clm_options INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes
  -Wvla -Wno-unknown-pragmas
  $<$<BOOL:${CLM_WERROR}>:-Werror>)
target_compile_definitions(clm_options INTERFACE _POSIX_C_SOURCE=200809L _DEFAULT_SOURCE)
# Contraction would make the plain-C reference depend on the host's instruction set.
target_compile_options(clm_options INTERFACE -ffp-contract=off)
if(CLM_SANITIZE)
  target_compile_options(clm_options INTERFACE
    -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  target_link_options(clm_options INTERFACE -fsanitize=address,undefined)
endif()
if(CLM_SANITIZE_THREADS)
  target_compile_options(clm_options INTERFACE -fsanitize=thread -fno-omit-frame-pointer)
  target_link_options(clm_options INTERFACE -fsanitize=thread)
endif()
