# Counts tests in ctest's JUnit files: each case of a cmocka program is one, any other entry is one.
# Names what failed or was skipped, then prints "N passed, N failed, N skipped".
# SPDX-License-Identifier: Apache-2.0
/<testcase name="/ {
    name = $0
    sub(/.*<testcase name="/, "", name)
    sub(/".*/, "", name)
    status = $0
    sub(/.*status="/, "", status)
    sub(/".*/, "", status)
    if (status == "notrun") {
        status = "fail" # unless it says that it skipped itself
    }
    cases = ok = bad = idle = 0
}
/<skipped message="SKIP_/ {
    status = "skip"
}
/\[==========\].*Running [0-9]+ test/ {
    running = 1
}
/\[==========\].*test\(s\) run/ {
    running = 0
}
running && /^\[ RUN      \]/ {
    cases++
    label = $0
    sub(/^\[ RUN      \] */, "", label)
}
running && /^\[       OK \]/ {
    ok++
}
running && /^\[  SKIPPED \]/ {
    idle++
    print "skipped: " name ": " label
}
running && /^\[  FAILED  \]/ {
    bad++
    print "failed: " name ": " label
}
/<\/testcase>/ {
    running = 0
    if (status == "skip") {
        skipped++
        print "skipped: " name
    } else if (cases == 0) {
        if (status == "run") {
            passed++
        } else {
            failed++
            print "failed: " name
        }
    } else {
        # A case that began and never ended took the program down with it.
        lost = cases - ok - bad - idle
        if (lost > 0) {
            print "failed: " name ": " label " did not end"
        } else if (status != "run" && bad == 0) {
            lost = 1
            print "failed: " name
        }
        passed += ok
        failed += bad + lost
        skipped += idle
    }
}
END {
    printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
}
