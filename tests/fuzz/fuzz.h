/* A fuzz target is a file with LLVMFuzzerTestOneInput. Linked with libFuzzer (CLOUDS_LIBFUZZER=ON) it is a fuzzer
 * proper; linked with driver.c it replays its corpus and then tries seeded mutations of it, in every ordinary test run.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property of the target: false ends the run, and the driver keeps the input. */
#define HOLDS(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);                             \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

#endif
