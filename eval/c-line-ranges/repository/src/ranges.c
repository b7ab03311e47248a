/* Sorting a list and putting together what touches; the other way round; counting. */
#include <stdlib.h>

#include "range.h"

int ranges_add(struct ranges *ranges, struct range range) {
    struct range *list = realloc(ranges->list, (ranges->size + 1) * sizeof *list);
    if (!list)
        return 0;
    ranges->list = list;
    ranges->list[ranges->size++] = range;
    return 1;
}

void ranges_free(struct ranges *ranges) {
    free(ranges->list);
    *ranges = (struct ranges){0};
}

static int by_first(const void *left, const void *right) {
    const struct range *a = left, *b = right;
    return (a->first > b->first) - (a->first < b->first);
}

void ranges_order(struct ranges *ranges) {
    size_t kept = 0;
    qsort(ranges->list, ranges->size, sizeof *ranges->list, by_first);
    for (size_t i = 1; i < ranges->size; i++) {
        struct range *last = &ranges->list[kept], next = ranges->list[i];
        if (next.first > last->end)
            ranges->list[++kept] = next;
        else if (next.end > last->end)
            last->end = next.end;
    }
    if (ranges->size)
        ranges->size = kept + 1;
}

int ranges_except(const struct ranges *ranges, struct ranges *others) {
    long next = 1;
    for (size_t i = 0; i < ranges->size; i++) {
        struct range range = ranges->list[i];
        if (next < range.first && !ranges_add(others, (struct range){next, range.first}))
            return 0;
        if (range.end == NO_END)
            return 1;
        next = range.end + 1;
    }
    return ranges_add(others, (struct range){next, NO_END});
}

long ranges_count(const struct ranges *ranges, long lines) {
    long count = 0;
    for (size_t i = 0; i < ranges->size; i++) {
        struct range range = ranges->list[i];
        if (range.end > lines)
            range.end = lines;
        if (range.first <= range.end)
            count += range.end - range.first + 1;
    }
    return count;
}
