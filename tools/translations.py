#!/usr/bin/env python3
"""The English pages and their Chinese ones must not drift apart. Usage: translations.py [ROOT]. Python's standard library only.

Prose cannot be compared; what can is: sections and rows of tables, every key, header, metric, variable and command in code spans and
code blocks, every number, every link. Says `file:line: what; what to do` for each difference and ends with 1 when there is one.
"""

import re
import sys
from pathlib import Path
from posixpath import dirname, join, normpath

PAGES = {"README.md": "README.zh-CN.md"} | {
    f"docs/{page}.md": f"docs/zh/{page}.md" for page in ("serving", "gateway", "admission", "discovery", "registration", "operating",
                                                        "configuration")}

# Sections that the Chinese page may leave to the English one, which it then links to: all table, no prose.
LEFT_IN_ENGLISH = {("docs/serving.md", "Every field of a request")}

NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
LINK = re.compile(r"\]\(([^()\s]+)\)")


def words(text):
    return " ".join(text.split())


def slug(heading):
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-")


def says(code, span):
    """Whether the span is a part of this code, and not only of a word of it."""
    return re.search(rf"(?<!\w){re.escape(span)}(?!\w)", code) is not None


class Section:
    """What is between two headings: {what is said: its first line} of each kind."""

    def __init__(self, heading, line):
        self.heading, self.line, self.rows = heading, line, 0
        self.spans, self.code, self.numbers, self.links = {}, {}, {}, {}

    def read_code(self, line, number):
        """A comment is prose."""
        code = words(re.sub(r"(^|\s)#\s.*", "", line))
        if code:
            self.code.setdefault(code, number)

    def read_prose(self, text, first):
        """A paragraph, list or table: spans and links go over the ends of lines."""
        self.rows += len(re.findall(r"^\|", text, re.MULTILINE))
        for into, pattern in ((self.spans, r"`([^`]+)`"), (self.links, LINK)):
            for match in re.finditer(pattern, text):
                into.setdefault(words(match.group(1)), first + text.count("\n", 0, match.start()))
        plain = re.sub(r"`[^`]+`|\]\([^()\s]+\)", lambda match: re.sub(r"[^\n]", " ", match.group()), text)
        for match in NUMBER.finditer(plain):
            self.numbers.setdefault(match.group().replace(",", ""), first + plain.count("\n", 0, match.start()))


class Page:
    def __init__(self, root, path):
        self.path = path
        self.sections = []
        prose, fence = [], None
        for number, line in enumerate((root / path).read_text(encoding="utf-8").splitlines() + [""], 1):
            heading = re.match(r"#+ (.+)", line)
            mark, indented = line.startswith("```"), line.startswith("    ")
            if fence is None and not mark and not indented and not heading and line.strip():
                prose.append(line)
                continue
            if prose:
                self.last().read_prose("\n".join(prose), number - len(prose))
                prose = []
            if mark:
                fence = line[3:].strip() if fence is None else None
            elif fence or (fence is None and indented):  # a fence without a language is a drawing
                self.last().read_code(line, number)
            elif fence is None and heading:
                self.sections.append(Section(heading.group(1), number))

    def last(self):
        """What is above the title counts with it."""
        self.sections = self.sections or [Section("", 1)]
        return self.sections[-1]

    def all(self, kind):
        return {said: line for section in reversed(self.sections) for said, line in getattr(section, kind).items()}

    def anchors(self):
        return {slug(section.heading) for section in self.sections}

    def target(self, link):
        """A link's file below the root, and its anchor."""
        if "://" in link:
            return link, ""
        path, _, anchor = link.partition("#")
        return (normpath(join(dirname(self.path), path)) if path else self.path), anchor


class Translations:
    def __init__(self, root):
        self.root = Path(root)
        self.breaches = []

    def say(self, path, line, what, todo):
        self.breaches.append(f"{path}:{line}: {what}; {todo}")

    def check(self):
        for english, chinese in PAGES.items():
            there = [path for path in (english, chinese) if (self.root / path).is_file()]
            if len(there) < 2:
                missing = english if english not in there else chinese
                self.say(missing, 1, "this page is missing", "write it, or take the pair out of tools/translations.py")
                continue
            pages = Page(self.root, english), Page(self.root, chinese)
            self.check_pair(*pages)
            for page in pages:
                self.check_anchors(page)
        return self.breaches

    def check_pair(self, english, chinese):
        for page, other in ((english, chinese), (chinese, english)):
            title = page.sections[0]
            if all(page.target(link)[0] != other.path for link in title.links):
                self.say(page.path, title.line, f"no link to {other.path} below the title", "add it")
        if len(english.sections) != len(chinese.sections):
            self.say(chinese.path, 1, f"{len(chinese.sections)} headings, {english.path} has {len(english.sections)}",
                     "give both the same sections, in the same order")
            return
        for section, same in zip(english.sections, chinese.sections):
            if (english.path, section.heading) in LEFT_IN_ENGLISH:
                if all(chinese.target(link) != (english.path, slug(section.heading)) for link in same.links):
                    self.say(chinese.path, same.line, f'no link to "{section.heading}" of {english.path}',
                             "what is left in English is linked to")
            else:
                self.check_section(english, section, chinese, same)
        self.check_nothing_else(english, chinese)

    def check_section(self, english, section, chinese, same):
        where = f'of {english.path}:%d is not in "{same.heading}"'
        if section.rows != same.rows:
            self.say(chinese.path, same.line, f'"{same.heading}" has {same.rows} rows of tables, '
                     f"{english.path} has {section.rows}", "give both the same rows")
        code = " ".join(same.code)
        for span, line in section.spans.items():
            if span not in same.spans and not says(code, span):
                self.say(chinese.path, same.line, f"`{span}` {where % line}", "say it there, in a code span")
        for block, line in section.code.items():
            if block not in same.code:
                self.say(chinese.path, same.line, f"the line of code `{block}` {where % line}", "copy it")
        for number, line in section.numbers.items():
            if number not in same.numbers:
                self.say(chinese.path, same.line, f"the number {number} {where % line}", "write it in digits")
        for link, line in section.links.items():
            if not self.has_link(english.target(link), chinese, same):
                self.say(chinese.path, same.line, f"the link ({link}) {where % line}", "add it")

    def has_link(self, wanted, chinese, section):
        """What has a Chinese page may be linked to there, where headings are others."""
        path, anchor = wanted
        targets = [chinese.target(link) for link in section.links]
        return path == chinese.path or wanted in targets or any(
            target == PAGES.get(path) and bool(heading) == bool(anchor) for target, heading in targets)

    def check_nothing_else(self, english, chinese):
        spans, code = english.all("spans"), " ".join(english.all("code"))
        for span, line in chinese.all("spans").items():
            if span not in spans and not says(code, span):
                self.say(chinese.path, line, f"`{span}` is nowhere in {english.path}",
                         "correct it, or say it in English, too")
        for block, line in chinese.all("code").items():
            if block not in english.all("code"):
                self.say(chinese.path, line, f"the line of code `{block}` is nowhere in {english.path}",
                         "copy the English one")

    def check_anchors(self, page):
        for link, line in page.all("links").items():
            path, anchor = page.target(link)
            if not anchor or not path.endswith(".md") or not (self.root / path).is_file():
                continue
            if anchor not in Page(self.root, path).anchors():
                self.say(page.path, line, f"{path} has no heading #{anchor}", "name one that it has")


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    breaches = Translations(root).check()
    for breach in breaches:
        print(breach)
    print(f"translations: {len(PAGES)} pages, {len(breaches)} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
