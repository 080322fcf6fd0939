"""Writes the peer of the decode bench: cantools' C for a DBC file, and a main around it.

    generate.py FILE.dbc NAME FOLDER     makes FOLDER/NAME.c, NAME.h, NAME-main.c and NAME.ids
"""
import pathlib
import sys

import cantools
from cantools.database.can.c_source import camel_to_snake_case, generate


def lines(message, prefix, tree, expression, indent):
    """Statements that take each signal of a level of the signal tree, or count them."""
    pad = "    " * indent
    out, count = [], 0
    for node in tree:
        name = next(iter(node)) if isinstance(node, dict) else node
        field = f"m.{camel_to_snake_case(name)}"
        if expression:
            out.append(pad + expression.format(field=field, decode=f"{prefix}_{camel_to_snake_case(name)}_decode"))
        count += 1
    if not expression:
        out.append(f"{pad}t->samples += {count};")
    for node in tree:
        if not isinstance(node, dict):
            continue
        (name, cases), = node.items()
        out.append(f"{pad}switch (m.{camel_to_snake_case(name)}) {{")
        for value, children in sorted(cases.items()):
            out.append(f"{pad}case {value}:")
            out += lines(message, prefix, children, expression, indent + 1)
            out.append(f"{pad}    break;")
        out.append(f"{pad}default:\n{pad}    break;\n{pad}}}")
    return out


def is_whole(message):
    """Whether cantools' C decodes the message as the file says. Not where a signal lies beyond the
    end of its message (the C then reads what is behind the frame), nor where a multiplexer has a
    long name, whose signals cantools loses."""
    def names(tree):
        for node in tree:
            if isinstance(node, dict):
                (name, cases), = node.items()
                yield name
                for children in cases.values():
                    yield from names(children)
            else:
                yield node

    def end(signal):
        if signal.byte_order == "little_endian":
            return signal.start + signal.length
        return 8 * (signal.start // 8) + 7 - signal.start % 8 + signal.length

    is_inside = all(end(signal) <= 8 * message.length for signal in message.signals)
    return is_inside and set(names(message.signal_tree)) == {signal.name for signal in message.signals}


KINDS = {
    "count": "",
    "raw": "t->raw_sum += (uint64_t)(int64_t){field};",
    "physical": "t->physical_sum += {decode}({field});",
}

MAIN = r"""
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t pass(const handler *table, const struct frame *all, size_t n, struct totals *t) {
    static struct frame ready[CHUNK];
    uint64_t elapsed = 0;
    for (size_t at = 0; at < n; at += CHUNK) {
        size_t some = n - at < CHUNK ? n - at : CHUNK;
        memcpy(ready, all + at, some * sizeof *ready);
        uint64_t start = now_ns();
        for (size_t i = 0; i < some; i++) {
            handler h = table[ready[i].id & 0x7FF];
            if (h) h(ready[i].data, ready[i].len, t);
        }
        elapsed += now_ns() - start;
    }
    return elapsed;
}

int main(int argc, char **argv) {
    FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
    if (!file) { fprintf(stderr, "give the file of frames\n"); return 64; }
    fseek(file, 0, SEEK_END);
    size_t n = (size_t)ftell(file) / sizeof(struct frame);
    rewind(file);
    struct frame *all = malloc(n * sizeof *all);
    if (!all || fread(all, sizeof *all, n, file) != n) return 1;
    char line[32];
    while (fgets(line, sizeof line, stdin)) {
        struct totals t = {0};
        const handler *table = line[0] == 'r' ? raw : line[0] == 'p' ? physical : count;
        uint64_t elapsed = pass(table, all, n, &t);
        printf("%llu %llu %llu %.17g\n", (unsigned long long)elapsed, (unsigned long long)t.samples,
               (unsigned long long)t.raw_sum, t.physical_sum);
        fflush(stdout);
    }
    return 0;
}
"""


def main():
    dbc, name, folder = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    database = cantools.database.load_file(dbc, strict=False)
    header, source, _, _ = generate(database, name, f"{name}.h", f"{name}.c", f"{name}-fuzz.c")
    (folder / f"{name}.h").write_text(header)
    (folder / f"{name}.c").write_text(source)
    # Apart, the generated functions are another object file's and cannot be inlined.
    out = ["#ifdef APART", f'#include "{name}.h"', "#include <string.h>", "#else", f'#include "{name}.c"', "#endif"]
    out += ["", "#define CHUNK 128"]
    out.append("struct frame { uint32_t id; uint8_t len, pad[3]; uint8_t data[8]; };")
    out.append("struct totals { uint64_t samples, raw_sum; double physical_sum; };")
    out.append("typedef void (*handler)(const uint8_t *data, size_t len, struct totals *t);")
    messages = [m for m in database.messages if not m.is_extended_frame and 1 <= m.length <= 8 and m.signals]
    whole = [str(m.frame_id) for m in messages if is_whole(m)]
    (folder / f"{name}.ids").write_text("\n".join(whole) + "\n")
    for kind, expression in KINDS.items():
        for message in messages:
            prefix = f"{name}_{camel_to_snake_case(message.name)}"
            out.append(f"static void {kind}_{prefix}(const uint8_t *data, size_t len, struct totals *t) {{")
            out.append(f"    struct {prefix}_t m;\n    if ({prefix}_unpack(&m, data, len) < 0) return;")
            out += lines(message, prefix, message.signal_tree, expression, 1)
            out.append("}")
        out.append(f"static const handler {kind}[0x800] = {{")
        for message in messages:
            prefix = f"{name}_{camel_to_snake_case(message.name)}"
            out.append(f"    [{message.frame_id}] = {kind}_{prefix},")
        out.append("};")
    (folder / f"{name}-main.c").write_text("\n".join(out) + MAIN)


main()
