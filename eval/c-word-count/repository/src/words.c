#include "words.h"

#include <stdlib.h>

static int is_of_a_word(int byte) {
    return (byte >= 'a' && byte <= 'z') || byte == '\'' || byte > 127;
}

int words_count(FILE *file, struct count *count) {
    char *word = NULL;
    size_t length = 0, room = 0;
    int byte, good = 1;
    do {
        byte = getc(file);
        if (byte >= 'A' && byte <= 'Z')
            byte += 'a' - 'A';
        if (is_of_a_word(byte)) {
            if (length == room) {
                size_t more = room ? room * 2 : 32;
                char *longer = realloc(word, more);
                if (!longer) {
                    good = 0;
                    break;
                }
                word = longer;
                room = more;
            }
            word[length++] = (char)byte;
        } else if (length > 0) {
            good = count_add(count, word, length);
            length = 0;
        }
    } while (byte != EOF && good);
    free(word);
    return good && !ferror(file);
}
