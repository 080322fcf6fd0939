#!/usr/bin/env python3
"""Every `roadlake …` and `edge-agent …` that docs/operations names is a subcommand of that program, with the
flags it is given there.

    commands.py ROADLAKE EDGE_AGENT
"""
import pathlib
import re
import subprocess
import sys

PAGES = pathlib.Path(__file__).resolve().parents[2] / "docs/operations"


def check(program, text):
    """What is wrong with a command line after its program's name, or None."""
    words = re.sub(r'"[^"]*"|\'[^\']*\'', "TEXT", text).split()
    command, page = [], subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    for word in words:
        below = re.search(r"^Commands:\n((?:  .*\n)+)", page, re.M)
        names = re.findall(r"^  ([a-z-]+)", below.group(1), re.M) if below else []
        if not names:
            break
        if word not in names:
            return f"{word!r} is none of {', '.join(names)}"
        command.append(word)
        page = subprocess.run([program, *command, "--help"], capture_output=True, text=True, check=True).stdout
    flags = [w for w in words if re.fullmatch(r"--[a-z-]+", w)]
    known = set(re.findall(r"(--[a-z-]+)", page))
    return next((f"it has no {f}" for f in flags if f not in known), None)


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: commands.py ROADLAKE EDGE_AGENT")
    programs = dict(zip(("roadlake", "edge-agent"), sys.argv[1:]))
    faults, count = [], 0
    for path in sorted(PAGES.glob("*.md")):
        text = path.read_text()
        spans = re.findall(r"`([^`\n]+(?:\n[^`\n]+)?)`", re.sub(r"```.*?```", "", text, flags=re.S))
        lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.S) for line in block.splitlines()]
        for line in spans + lines:
            found = re.match(r"(roadlake|edge-agent) +([a-z].*)", line.split(" #")[0].replace("\n", " "))
            if found:
                count += 1
                fault = check(programs[found.group(1)], found.group(2))
                if fault:
                    faults.append(f"{path.name}: {line}: {fault}")
    if count < 10:
        faults.append(f"only {count} commands found")
    for fault in faults:
        print(f"commands: {fault}", file=sys.stderr)
    if faults:
        sys.exit(1)
    print(f"commands: {count} of docs/operations are as their programs' help says")


if __name__ == "__main__":
    main()
