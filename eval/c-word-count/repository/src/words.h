/* The words of a file. */
#ifndef WORDS_H
#define WORDS_H

#include <stdio.h>

#include "count.h"

/* Counts all words of the file; 0 when there is no memory or the file can't be read (ferror tells which). */
int words_count(FILE *file, struct count *count);

#endif
