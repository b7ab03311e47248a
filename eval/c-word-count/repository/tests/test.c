/* The tests of the parts. */
#include <stdio.h>
#include <string.h>

#include "count.h"
#include "intern.h"

static int failures;

static void expect(int good, const char *what) {
    printf("%s  %s\n", good ? "ok    " : "FAILED", what);
    failures += !good;
}

static int add(struct count *count, const char *word) {
    return count_add(count, word, strlen(word));
}

int main(void) {
    struct intern *words = intern_new();
    const char *bee = intern_word(words, "bees", 3);
    expect(strcmp(bee, "bee") == 0, "a word has the given length");
    expect(intern_word(words, "bee", 3) == bee, "the same word is the same pointer");
    expect(intern_word(words, "bees", 4) != bee, "a longer word is another");
    expect(intern_word(words, "be", 2) != bee, "a shorter word is another");
    for (int i = 0; i < 100; i++) {
        char word[16];
        intern_word(words, word, (size_t)sprintf(word, "w%d", i));
    }
    expect(intern_size(words) == 103, "words are there once");
    expect(intern_word(words, "bee", 3) == bee, "a word stays where it is");
    intern_free(words);

    struct count *count = count_new();
    size_t size;
    count_sorted(count, &size);
    expect(size == 0, "no words");
    int added = add(count, "the") && add(count, "bee") && add(count, "and") && add(count, "the");
    const struct entry *entries = count_sorted(count, &size);
    expect(added && size == 3, "different words");
    expect(strcmp(entries[0].word, "the") == 0 && entries[0].count == 2, "the most frequent word is first");
    expect(strcmp(entries[1].word, "and") == 0 && strcmp(entries[2].word, "bee") == 0, "others are sorted");
    add(count, "bee");
    add(count, "bee");
    entries = count_sorted(count, &size);
    expect(strcmp(entries[0].word, "bee") == 0 && entries[0].count == 3, "counting goes on after sorting");
    count_free(count);
    return failures > 0;
}
