/* Printing the lines of a text. */
#include "range.h"

void select_lines(FILE *in, FILE *out, const struct ranges *ranges) {
    long line = 1;
    size_t i = 0;
    int byte;
    while ((byte = getc(in)) != EOF) {
        while (i < ranges->size && line >= ranges->list[i].end)
            i++;
        if (i == ranges->size)
            break;
        if (line >= ranges->list[i].first)
            putc(byte, out);
        if (byte == '\n')
            line++;
    }
}

long count_lines(FILE *in) {
    long lines = 0;
    int byte, last = '\n';
    while ((byte = getc(in)) != EOF) {
        lines += byte == '\n';
        last = byte;
    }
    return lines + (last != '\n');
}
