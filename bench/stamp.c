/* A training that does nothing but stamp its start and its end: what is left between two of them is the farm's.
   Stands in for the interpreter (`python:` of orze.yaml), so that no interpreter's own start is measured. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static long long now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1000000000LL + at.tv_nsec;
}

int main(int count, char **words) {
    long long start = now();
    const char *idea = "", *results = NULL, *stamps = getenv("BENCH_STAMPS");
    for (int k = 1; k + 1 < count; k++) {
        if (!strcmp(words[k], "--idea-id")) idea = words[k + 1];
        if (!strcmp(words[k], "--results-dir")) results = words[k + 1];
    }
    if (!results || !stamps) return 0; /* asked for its version and the like */
    char text[4096];
    snprintf(text, sizeof text, "%s/%s/metrics.json", results, idea);
    FILE *metrics = fopen(text, "w");
    if (!metrics) return 1;
    fputs("{\"status\": \"COMPLETED\", \"accuracy\": 0.5}", metrics);
    fclose(metrics);
    int file = open(stamps, O_WRONLY | O_APPEND | O_CREAT, 0666);
    int length = snprintf(text, sizeof text, "%lld %lld\n", start, now());
    return write(file, text, length) == length ? 0 : 1;
}
