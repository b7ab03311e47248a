/* Each different word once in memory. */
#ifndef INTERN_H
#define INTERN_H

#include <stddef.h>

struct intern;

struct intern *intern_new(void);
void intern_free(struct intern *words);

/* The one copy of a word, which need not end in a zero byte; the copy does. The same word always gives the same pointer,
 * so that words can be compared by their pointers. It is good until intern_free. NULL when there is no memory. */
const char *intern_word(struct intern *words, const char *word, size_t length);

/* How many different words there are. */
size_t intern_size(const struct intern *words);

#endif
