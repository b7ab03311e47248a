/* Reading a list. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "range.h"

/* A number at *at, which is moved behind it; 0 when there is none that can be a line. */
static long number(const char **at) {
    char *end;
    if (!isdigit((unsigned char)**at))
        return 0;
    errno = 0;
    long value = strtol(*at, &end, 10);
    *at = end;
    return errno || value == NO_END ? 0 : value;
}

const char *ranges_parse(const char *text, struct ranges *ranges) {
    const char *at = text;
    for (;;) {
        struct range range;
        if (*at == '-') {
            at++;
            long last = number(&at);
            if (!last)
                return "expected a line after '-'";
            range = (struct range){1, last + 1};
        } else {
            range.first = number(&at);
            if (!range.first)
                return "expected a line, from 1";
            if (*at != '-') {
                range.end = range.first + 1;
            } else if (at++, isdigit((unsigned char)*at)) {
                range.end = number(&at);
                if (range.end < range.first)
                    return "a range ends before it begins";
            } else {
                range.end = NO_END;
            }
        }
        if (!ranges_add(ranges, range))
            return "out of memory";
        if (*at == '\0')
            return NULL;
        if (*at++ != ',')
            return "expected ',' between ranges";
    }
}
