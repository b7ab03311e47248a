/* How often each word was there. */
#ifndef COUNT_H
#define COUNT_H

#include <stddef.h>

struct entry {
    const char *word;
    unsigned long count;
};

struct count;

struct count *count_new(void);
void count_free(struct count *count);

/* Counts a word once more; 0 when there is no memory. */
int count_add(struct count *count, const char *word, size_t length);

/* All words, the most frequent first, then by their bytes. What is returned is good until the next count_add or count_free;
 * its length is written to *size. */
const struct entry *count_sorted(struct count *count, size_t *size);

#endif
