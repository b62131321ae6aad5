#!/usr/bin/env python3
"""Proves that every rule of translations.py fires on pages that break it, and that good ones are silent."""

import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
import translations  # noqa: E402

ENGLISH = """# A page

[中文](zh/page.md) Everything at [one address](other.md#a-heading), [the file](../code.cc), [below](#limits).

```sh
serve --config x.yaml    # starts
```

## Limits

Of `max_body`, `n` and
`a wrapped
span` at most 2,000 for `x-header` within 1.5 s:

    key: { value: 5 }   # why

| `metric_total` | what |
|---|---|
| `a` | b |

## Fields

| `field` | honoured |
"""
CHINESE = """# 页面

[English](../page.md)。都在[同一地址](../other.md#a-heading)，[文件](../../code.cc)，[下文](#限制)。

```sh
serve --config x.yaml    # 启动
```

## 限制

`max_body`、`n`、`a wrapped span`，`x-header` 最多 2000，1.5 s 之内：

    key: { value: 5 }   # 原因

| `metric_total` | 含义 |
|---|---|
| `a` | 乙 |

## 字段

见[英文页](../page.md#fields)。
"""


class TranslationsTest(unittest.TestCase):
    def breaches(self, english=ENGLISH, chinese=CHINESE):
        with tempfile.TemporaryDirectory() as root:
            files = {"docs/page.md": english, "docs/zh/page.md": chinese, "docs/other.md": "# A heading\n"}
            for path, text in files.items():
                if text is not None:
                    (Path(root) / path).parent.mkdir(parents=True, exist_ok=True)
                    (Path(root) / path).write_text(text, encoding="utf-8")
            with mock.patch.object(translations, "PAGES", {"docs/page.md": "docs/zh/page.md"}), \
                    mock.patch.object(translations, "LEFT_IN_ENGLISH", {("docs/page.md", "Fields")}):
                return translations.Translations(root).check()

    def fires(self, where, words, **pages):
        """Exactly one breach, at this place, in these words."""
        breaches = self.breaches(**pages)
        self.assertEqual(len(breaches), 1, breaches)
        self.assertTrue(breaches[0].startswith(where + ": "), breaches)
        self.assertIn(words, breaches[0])

    def without(self, text, gone, instead=""):
        self.assertEqual(text.count(gone), 1, gone)
        return text.replace(gone, instead)

    def chinese(self, gone, instead=""):
        return self.without(CHINESE, gone, instead)

    def english(self, gone, instead=""):
        return self.without(ENGLISH, gone, instead)

    def test_good_pages_are_silent(self):
        self.assertEqual(self.breaches(), [])

    def test_a_page_is_missing(self):
        self.fires("docs/zh/page.md:1", "this page is missing", chinese=None)

    def test_a_span(self):
        self.fires("docs/zh/page.md:9", "`max_body` of docs/page.md:11 is not in", chinese=self.chinese("`max_body`、"))
        self.fires("docs/zh/page.md:9", "`a wrapped span` of docs/page.md:12", chinese=self.chinese("、`a wrapped span`"))
        self.fires("docs/zh/page.md:9", "`metric_total`", chinese=self.chinese("`metric_total`"))

    def test_a_span_is_no_part_of_a_word(self):
        self.fires("docs/zh/page.md:9", "`n` of", chinese=self.chinese("、`n`、", "、")
                   .replace("key: {", "never: {"), english=self.english("key: {", "never: {"))

    def test_a_span_in_another_section(self):
        chinese = self.chinese("`x-header` ").replace("都在", "`x-header` 都在")
        self.fires("docs/zh/page.md:9", "`x-header`", chinese=chinese)

    def test_a_span_that_english_no_longer_has(self):
        self.fires("docs/zh/page.md:11", "`x-header` is nowhere", english=self.english("`x-header`", "it"))

    def test_a_line_of_code(self):
        self.assertEqual(len(self.breaches(chinese=self.chinese("x.yaml", "y.yaml"))), 2)  # missing, and too much
        self.assertEqual(len(self.breaches(chinese=self.chinese("value: 5", "value: 6"))), 2)
        self.fires("docs/zh/page.md:9", "the line of code `key: { value: 5 }`",
                   chinese=self.chinese("    key: { value: 5 }   # 原因\n"))

    def test_a_drawing_is_prose(self):
        self.assertEqual(self.breaches(chinese=self.chinese("## 限制\n", "## 限制\n\n```\n上 7\n```\n")), [])

    def test_a_number(self):
        self.fires("docs/zh/page.md:9", "the number 2000", chinese=self.chinese("2000", "3000"))
        self.fires("docs/zh/page.md:9", "the number 1.5", chinese=self.chinese("1.5 s", "15 s"))

    def test_rows_of_tables(self):
        self.fires("docs/zh/page.md:9", "has 2 rows", chinese=self.chinese("| `a` | 乙 |\n", "`a` 乙\n"))

    def test_sections(self):
        self.fires("docs/zh/page.md:1", "3 headings, docs/page.md has 4", english=ENGLISH + "\n## More\n")

    def test_what_is_left_in_english(self):
        self.fires("docs/zh/page.md:19", 'no link to "Fields"', chinese=self.chinese("#fields"))

    def test_links(self):
        self.fires("docs/zh/page.md:1", "the link (../code.cc)", chinese=self.chinese("，[文件](../../code.cc)"))
        self.fires("docs/zh/page.md:1", "(other.md#a-heading)", chinese=self.chinese("other.md#a-heading", "other.md"))
        self.fires("docs/zh/page.md:1", "the link (#limits)", chinese=self.chinese("，[下文](#限制)"))

    def test_each_links_to_the_other(self):
        self.fires("docs/page.md:1", "no link to docs/zh/page.md", english=self.english("[中文](zh/page.md) "))
        self.fires("docs/zh/page.md:1", "no link to docs/page.md", chinese=self.chinese("[English](../page.md)。"))

    def test_anchors(self):
        self.fires("docs/zh/page.md:3", "docs/zh/page.md has no heading #限", chinese=self.chinese("(#限制)", "(#限)"))


if __name__ == "__main__":
    unittest.main()
