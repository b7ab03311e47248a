#include "count.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "intern.h"

struct count {
    struct intern *words;
    struct entry *entries;
    size_t size, room;
    size_t *index; /* open addressing by the words' pointers: 1 + the place in entries, or 0 */
    size_t index_count;
};

enum { FIRST_ROOM = 64 };

struct count *count_new(void) {
    struct count *count = calloc(1, sizeof *count);
    if (!count)
        return NULL;
    count->words = intern_new();
    count->room = FIRST_ROOM;
    count->entries = malloc(count->room * sizeof *count->entries);
    count->index_count = count->room * 2;
    count->index = calloc(count->index_count, sizeof *count->index);
    if (!count->words || !count->entries || !count->index) {
        count_free(count);
        return NULL;
    }
    return count;
}

void count_free(struct count *count) {
    if (!count)
        return;
    intern_free(count->words);
    free(count->entries);
    free(count->index);
    free(count);
}

/* The place in the index of a word that was interned: the same word has the same pointer. */
static size_t place_of(const struct count *count, const char *word) {
    size_t place = (size_t)((uintptr_t)word * 11400714819323198485u >> 20) % count->index_count;
    while (count->index[place] && count->entries[count->index[place] - 1].word != word)
        place = (place + 1) % count->index_count;
    return place;
}

static void index_all(struct count *count) {
    memset(count->index, 0, count->index_count * sizeof *count->index);
    for (size_t i = 0; i < count->size; i++)
        count->index[place_of(count, count->entries[i].word)] = i + 1;
}

static int more_room(struct count *count) {
    size_t room = count->room * 2;
    struct entry *entries = realloc(count->entries, room * sizeof *entries);
    if (!entries)
        return 0;
    count->entries = entries;
    size_t *index = realloc(count->index, room * 2 * sizeof *index);
    if (!index)
        return 0;
    count->index = index;
    count->room = room;
    count->index_count = room * 2;
    index_all(count);
    return 1;
}

int count_add(struct count *count, const char *word, size_t length) {
    const char *interned = intern_word(count->words, word, length);
    if (!interned)
        return 0;
    if (count->size == count->room && !more_room(count))
        return 0;
    size_t place = place_of(count, interned);
    if (!count->index[place]) {
        count->entries[count->size] = (struct entry){.word = interned};
        count->index[place] = ++count->size;
    }
    count->entries[count->index[place] - 1].count++;
    return 1;
}

static int compare(const void *left, const void *right) {
    const struct entry *a = left, *b = right;
    if (a->count != b->count)
        return a->count < b->count ? 1 : -1;
    return strcmp(a->word, b->word);
}

const struct entry *count_sorted(struct count *count, size_t *size) {
    qsort(count->entries, count->size, sizeof *count->entries, compare);
    index_all(count);
    *size = count->size;
    return count->entries;
}
