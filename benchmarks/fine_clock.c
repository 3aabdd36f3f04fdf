/* SIPp measures response times with CLOCK_MONOTONIC_COARSE, whose step is 4 ms on many kernels: more than a
   whole call takes. Preloaded into SIPp alone, this gives it the fine clock instead. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*fine)(clockid_t, struct timespec *);
    if (!fine) {
        fine = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
        if (!fine)
            abort();
    }
    return fine(clock == CLOCK_MONOTONIC_COARSE ? CLOCK_MONOTONIC : clock, now);
}
