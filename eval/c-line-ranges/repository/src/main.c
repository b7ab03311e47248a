/* The command. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "range.h"

static int usage(void) {
    fputs("usage: pick [--except] [--count] LIST [FILE]\n", stderr);
    return 2;
}

int main(int argc, char **argv) {
    int except = 0, count = 0, i = 1;
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        if (strcmp(argv[i], "--except") == 0)
            except = 1;
        else if (strcmp(argv[i], "--count") == 0)
            count = 1;
        else
            return usage();
    }
    if (argc - i < 1 || argc - i > 2)
        return usage();
    struct ranges ranges = {0}, others = {0};
    const char *wrong = ranges_parse(argv[i], &ranges);
    if (wrong) {
        fprintf(stderr, "pick: %s: %s\n", argv[i], wrong);
        return 2;
    }
    ranges_order(&ranges);
    if (except && !ranges_except(&ranges, &others)) {
        fputs("pick: out of memory\n", stderr);
        return 1;
    }
    FILE *file = argc - i == 2 ? fopen(argv[i + 1], "r") : stdin;
    if (!file) {
        fprintf(stderr, "pick: %s: %s\n", argv[i + 1], strerror(errno));
        return 1;
    }
    const struct ranges *chosen = except ? &others : &ranges;
    if (count)
        printf("%ld\n", ranges_count(chosen, count_lines(file)));
    else
        select_lines(file, stdout, chosen);
    ranges_free(&ranges);
    ranges_free(&others);
    return 0;
}
