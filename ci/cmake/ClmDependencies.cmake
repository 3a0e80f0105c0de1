# What clm takes from elsewhere. Each imported target is linked by src/CMakeLists.txt, and global,
# because a project that has clm as a part links it too when clm is static; each missing one ends in
# a message that names Debian's package.
find_package(PkgConfig REQUIRED)

function(clm_require target module package purpose)
  pkg_check_modules(${target} IMPORTED_TARGET GLOBAL ${module})
  if(NOT ${target}_FOUND)
    message(FATAL_ERROR "clm needs ${module} for ${purpose}: install ${package}, or run ./ci/setup")
  endif()
endfunction()

clm_require(clm_opencl OpenCL "ocl-icd-opencl-dev and opencl-headers" "the OpenCL loader")
clm_require(clm_pcre2 libpcre2-8 libpcre2-dev "the tokenizer's pattern")
clm_require(clm_cjson libcjson libcjson-dev "JSON")
find_package(Threads REQUIRED)

if(CLM_WITH_CLBLAST)
  pkg_check_modules(clm_clblast IMPORTED_TARGET GLOBAL clblast)
  if(NOT clm_clblast_FOUND)
    message(FATAL_ERROR "clm takes GEMM from CLBlast: install libclblast-dev, or configure with "
      "-DCLM_WITH_CLBLAST=OFF, which costs speed on most GPUs")
  endif()
endif()
if(CLM_WITH_CURL)
  pkg_check_modules(clm_curl IMPORTED_TARGET GLOBAL libcurl libcrypto libarchive)
  if(NOT clm_curl_FOUND)
    message(FATAL_ERROR "clm fetch needs libcurl, OpenSSL and libarchive: install "
      "libcurl4-openssl-dev, libssl-dev and libarchive-dev, or configure with "
      "-DCLM_WITH_CURL=OFF, and put the files in place by hand")
  endif()
endif()
if(CLM_WITH_CAIRO)
  pkg_check_modules(clm_cairo IMPORTED_TARGET GLOBAL cairo)
  if(NOT clm_cairo_FOUND)
    message(FATAL_ERROR "clm draws plots with cairo: install libcairo2-dev, or configure with "
      "-DCLM_WITH_CAIRO=OFF, and do without plots")
  endif()
endif()

# What the library links, and the same in pkg-config's words, for those who link it statically.
set(CLM_LINK PkgConfig::clm_opencl PkgConfig::clm_pcre2 PkgConfig::clm_cjson Threads::Threads
  ${CMAKE_DL_LIBS} m)
set(CLM_PKGCONFIG_MODULES OpenCL libpcre2-8 libcjson)
if(CLM_WITH_CLBLAST)
  list(APPEND CLM_LINK PkgConfig::clm_clblast)
  list(APPEND CLM_PKGCONFIG_MODULES clblast)
endif()
if(CLM_WITH_CURL)
  list(APPEND CLM_LINK PkgConfig::clm_curl)
  list(APPEND CLM_PKGCONFIG_MODULES libcurl libcrypto libarchive)
endif()
if(CLM_WITH_CAIRO)
  list(APPEND CLM_LINK PkgConfig::clm_cairo)
  list(APPEND CLM_PKGCONFIG_MODULES cairo)
endif()
