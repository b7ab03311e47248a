#!/usr/bin/env bash
# Large texts, with the address sanitizer where it works (it needs more address space than some sandboxes give).
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
flags=(-std=c11 -D_POSIX_C_SOURCE=200809L -O1 -g)

printf 'int main(void) { return 0; }\n' >"$work/empty.c"
if gcc -fsanitize=address,undefined "$work/empty.c" -o "$work/empty" 2>/dev/null && "$work/empty" 2>/dev/null; then
    flags+=(-fsanitize=address,undefined -fno-sanitize-recover=undefined)
fi
# Leaks are looked for by hand: the sanitizer's own search needs ptrace.
export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1

parts=$(find src -name '*.c' ! -name main.c)
# shellcheck disable=SC2086
gcc "${flags[@]}" -Isrc tests/large/large.c $parts -o "$work/large" || exit 1
# shellcheck disable=SC2086
gcc "${flags[@]}" src/main.c $parts -o "$work/wordcount" || exit 1

"$work/large" || exit 1

# A text with 20,000 different words, against what other tools count.
awk 'function letters(n,   text) {
        do { text = text substr("abcdefghijklmnopqrst", n % 20 + 1, 1); n = int(n / 20) } while (n)
        return text
    }
    BEGIN { for (i = 0; i < 70000; i++) printf "%s%s ", substr("abcde", i % 5 + 1, 1), letters(i % 20000) }' \
    >"$work/text"
tr ' ' '\n' <"$work/text" | grep . | LC_ALL=C sort | uniq -c | LC_ALL=C sort -k1,1nr -k2,2 | awk '{ printf "%6d %s\n", $1, $2 }' \
    >"$work/expected"
"$work/wordcount" "$work/text" >"$work/actual" || exit 1
cmp "$work/expected" "$work/actual" || exit 1
[ "$("$work/wordcount" --top 3 "$work/text")" = "$(head -n 3 "$work/expected")" ] || exit 1

# What was allocated is freed: 600 MB of words in turn, where 256 MB may be held.
cat >"$work/again.c" <<'END'
#include <stdio.h>
#include <sys/resource.h>
#include "intern.h"
int main(void) {
    struct rlimit limit = {256 << 20, 256 << 20};
    setrlimit(RLIMIT_DATA, &limit);
    for (int round = 0; round < 60; round++) {
        struct intern *words = intern_new();
        char word[1000];
        for (int i = 0; words && i < 10000; i++) {
            int length = snprintf(word, sizeof word, "%d", i);
            while (length < 999)
                word[length++] = 'z';
            if (!intern_word(words, word, 999))
                return 1;
        }
        if (!words)
            return 1;
        intern_free(words);
    }
    return 0;
}
END
# shellcheck disable=SC2086
gcc -std=gnu11 -O1 -Isrc "$work/again.c" $parts -o "$work/again" && "$work/again" || { echo "FAILED  memory is given back"; exit 1; }
echo "ok"
