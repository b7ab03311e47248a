/* A hash table with open addressing. All words stand one after the other in a single buffer, which saves the overhead of an
 * allocation for each. */
#include "intern.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_SLOTS = 64, FIRST_BYTES = 4096 };

struct intern {
    char *bytes; /* the words, each with a zero byte at its end */
    size_t used, room;
    const char **slots; /* NULL where there is no word */
    size_t slot_count; /* a power of two */
    size_t size;
};

struct intern *intern_new(void) {
    struct intern *words = calloc(1, sizeof *words);
    if (!words)
        return NULL;
    words->room = FIRST_BYTES;
    words->bytes = malloc(words->room);
    words->slot_count = FIRST_SLOTS;
    words->slots = calloc(words->slot_count, sizeof *words->slots);
    if (!words->bytes || !words->slots) {
        intern_free(words);
        return NULL;
    }
    return words;
}

void intern_free(struct intern *words) {
    if (!words)
        return;
    free(words->bytes);
    free(words->slots);
    free(words);
}

size_t intern_size(const struct intern *words) {
    return words->size;
}

static size_t hash(const char *word, size_t length) {
    size_t value = 14695981039346656037u;
    for (size_t i = 0; i < length; i++)
        value = (value ^ (unsigned char)word[i]) * 1099511628211u;
    return value ^ value >> 29;
}

/* The slot of a word: where it is, or where it belongs. */
static size_t slot_of(const struct intern *words, const char *word, size_t length) {
    size_t slot = hash(word, length) & (words->slot_count - 1);
    while (words->slots[slot]) {
        const char *there = words->slots[slot];
        if (strncmp(there, word, length) == 0 && there[length] == '\0')
            break;
        slot = (slot + 1) & (words->slot_count - 1);
    }
    return slot;
}

static int more_slots(struct intern *words) {
    const char **old = words->slots;
    size_t old_count = words->slot_count;
    const char **slots = calloc(old_count * 2, sizeof *slots);
    if (!slots)
        return 0;
    words->slots = slots;
    words->slot_count = old_count * 2;
    for (size_t i = 0; i < old_count; i++)
        if (old[i])
            words->slots[slot_of(words, old[i], strlen(old[i]))] = old[i];
    free(old);
    return 1;
}

const char *intern_word(struct intern *words, const char *word, size_t length) {
    size_t slot = slot_of(words, word, length);
    if (words->slots[slot])
        return words->slots[slot];
    if ((words->size + 1) * 4 > words->slot_count * 3) {
        if (!more_slots(words))
            return NULL;
        slot = slot_of(words, word, length);
    }
    if (words->used + length + 1 > words->room) {
        char *bytes = realloc(words->bytes, words->room * 2);
        if (!bytes)
            return NULL;
        words->bytes = bytes;
        words->room *= 2;
    }
    char *copy = words->bytes + words->used;
    memcpy(copy, word, length);
    copy[length] = '\0';
    words->used += length + 1;
    words->slots[slot] = copy;
    words->size++;
    return copy;
}
