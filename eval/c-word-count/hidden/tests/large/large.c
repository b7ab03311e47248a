/* Many words, some of them long: what the headers promise must hold of all of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "count.h"
#include "intern.h"

enum { WORDS = 60000, LONGEST = 100000 };

static int failures;

static void expect(int good, const char *what) {
    printf("%s  %s\n", good ? "ok    " : "FAILED", what);
    failures += !good;
}

/* The word of a number: most are short, each thousandth is longer than a page. Returns its length. */
static size_t word_of(unsigned number, char *word) {
    size_t length = (size_t)sprintf(word, "w%x", number * 2654435761u);
    if (number % 1000 == 999)
        while (length < 5000 + number % 7919)
            word[length++] = 'x';
    word[length] = '\0';
    return length;
}

static void words_stay(char *word) {
    struct intern *words = intern_new();
    const char **pointers = malloc(WORDS * sizeof *pointers);
    for (unsigned i = 0; i < WORDS; i++) {
        size_t length = word_of(i, word);
        pointers[i] = intern_word(words, word, length);
    }
    expect(intern_size(words) == WORDS, "each word is there once");
    unsigned same = 0, whole = 0;
    for (unsigned i = 0; i < WORDS; i++) {
        size_t length = word_of(i, word);
        same += intern_word(words, word, length) == pointers[i];
        whole += strcmp(pointers[i], word) == 0;
    }
    expect(same == WORDS, "the same word is the same pointer for ever");
    expect(whole == WORDS, "each word is what it was");
    expect(intern_size(words) == WORDS, "asking again adds none");
    free(pointers);
    intern_free(words);
}

static void a_long_word_fits(char *word) {
    struct intern *words = intern_new();
    memset(word, 'y', LONGEST);
    word[LONGEST] = '\0';
    const char *first = intern_word(words, "first", 5);
    const char *longest = intern_word(words, word, LONGEST);
    const char *next = intern_word(words, "next", 4);
    expect(longest && strcmp(longest, word) == 0, "a word that is longer than all room so far");
    expect(strcmp(first, "first") == 0 && strcmp(next, "next") == 0, "and its neighbours");
    expect(intern_word(words, word, LONGEST) == longest, "it is there once");
    intern_free(words);
}

static void counts_are_right(char *word) {
    struct count *count = count_new();
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < WORDS; i += round + 1) {
            size_t length = word_of(i, word);
            if (!count_add(count, word, length))
                failures++;
        }
    size_t size;
    const struct entry *entries = count_sorted(count, &size);
    unsigned long all = 0;
    int sorted = 1;
    for (size_t i = 0; i < size; i++) {
        all += entries[i].count;
        if (i > 0 && (entries[i - 1].count < entries[i].count
                      || (entries[i - 1].count == entries[i].count && strcmp(entries[i - 1].word, entries[i].word) >= 0)))
            sorted = 0;
    }
    expect(size == WORDS, "each word has one entry");
    expect(all == WORDS + WORDS / 2 + WORDS / 3, "no occurrence is lost");
    expect(sorted, "entries are sorted");
    expect(size > 0 && entries[0].count == 3 && entries[size - 1].count == 1, "counts are right");
    count_free(count);
}

int main(void) {
    char *word = malloc(LONGEST + 1);
    words_stay(word);
    a_long_word_fits(word);
    counts_are_right(word);
    free(word);
    return failures > 0;
}
