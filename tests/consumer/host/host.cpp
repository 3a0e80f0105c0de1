// The same in C++.
// SPDX-License-Identifier: Apache-2.0
#include <clm/clm.h>

#if __cplusplus != 201703L
#error "this is not the host's language any more"
#endif

int main() {
    return clm_version() == nullptr;
}
