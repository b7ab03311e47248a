/* What a range is, and what can be done with a list of them. */
#ifndef RANGE_H
#define RANGE_H

#include <limits.h>
#include <stddef.h>
#include <stdio.h>

/* The lines from `first` on, before `end`. The first line of a text is 1. */
struct range {
    long first, end;
};

#define NO_END LONG_MAX

struct ranges {
    struct range *list;
    size_t size;
};

/* Reads a list such as `2,5-7,19-`; NULL, or what is wrong with it. */
const char *ranges_parse(const char *text, struct ranges *ranges);

/* Adds a range at the end of the list; 0 when there is no memory. */
int ranges_add(struct ranges *ranges, struct range range);

/* Sorts the list and puts together what overlaps or touches. All below want a list that is in order. */
void ranges_order(struct ranges *ranges);

/* All lines that are in no range of the list, in order; 0 when there is no memory. */
int ranges_except(const struct ranges *ranges, struct ranges *others);

/* How many of the lines of a text with so many lines are in the list. */
long ranges_count(const struct ranges *ranges, long lines);

void ranges_free(struct ranges *ranges);

/* Prints the lines of the list. */
void select_lines(FILE *in, FILE *out, const struct ranges *ranges);

/* How many lines the text has. A last one without a line end is one, too. */
long count_lines(FILE *in);

#endif
