/* The command. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "count.h"
#include "words.h"

static int usage(void) {
    fputs("usage: wordcount [--top N] [FILE]\n", stderr);
    return 2;
}

int main(int argc, char **argv) {
    unsigned long top = 0;
    const char *path = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--top") == 0 && i + 1 < argc) {
            char *end;
            top = strtoul(argv[++i], &end, 10);
            if (*end || top == 0)
                return usage();
        } else if (argv[i][0] == '-' || path) {
            return usage();
        } else {
            path = argv[i];
        }
    }
    FILE *file = path ? fopen(path, "r") : stdin;
    if (!file) {
        fprintf(stderr, "wordcount: can't open %s: %s\n", path, strerror(errno));
        return 1;
    }
    struct count *count = count_new();
    if (!count || !words_count(file, count)) {
        fprintf(stderr, "wordcount: %s\n", ferror(file) ? "can't read the text" : "out of memory");
        return 1;
    }
    size_t size;
    const struct entry *entries = count_sorted(count, &size);
    for (size_t i = 0; i < size && (top == 0 || i < top); i++)
        printf("%6lu %s\n", entries[i].count, entries[i].word);
    count_free(count);
    if (path)
        fclose(file);
    return 0;
}
