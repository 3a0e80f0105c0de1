// The public headers are valid C++ and link from it.
// SPDX-License-Identifier: Apache-2.0
#include <clm/clm.h>

#include <cstdio>

int main() {
    std::printf("clm %s from C++\n", clm_version());
    return clm_status_name(CLM_OK) == nullptr;
}
