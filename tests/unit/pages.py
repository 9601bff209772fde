"""A report taken apart, for tests of what is in it."""

import re
from html.parser import HTMLParser

VOID = ("meta", "link", "img", "br", "path", "use", "rect", "line", "input", "hr")


class Page(HTMLParser):
    """Tags left open, ids, what would be loaded, links, scripts, images without words, headers without a scope."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.loads, self.links, self.scripts, self.styles = [], [], [], [], [], []
        self.unspoken, self.unscoped, self.handlers, self.tags = [], [], [], []
        self._inside = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append((tag, given))
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        if tag == "a":
            self.links.append(given.get("href"))
        else:
            self.loads += [v for k, v in attrs if k in ("src", "href", "xlink:href", "srcset", "data", "action") and v]
        self.styles += [given["style"]] if "style" in given else []
        self.handlers += [k for k in given if k.startswith("on")]
        if (tag == "img" and not given.get("alt")) or (given.get("role") == "img" and not given.get("aria-label")):
            self.unspoken.append(given)
        if tag == "th" and given.get("scope") not in ("row", "col"):
            self.unscoped.append(given)
        if tag == "script":
            self.scripts.append("")
        if tag == "style":
            self.styles.append("")
        self._inside = tag

    def handle_data(self, data):
        if self._inside == "script" and self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        if self._inside == "style" and self.open and self.open[-1] == "style":
            self.styles[-1] += data

    def handle_endtag(self, tag):
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    @property
    def network(self):
        """Everything that would be fetched."""
        here = [v for v in self.loads if not v.startswith(("#", "data:"))]
        return here + [u for s in self.styles for u in re.findall(r"@import[^;]*|url\((?!['\"]?[#d])[^)]*\)", s)]

    @property
    def dangling(self):
        """Links into the page, of <a> and of drawings, that lead nowhere."""
        inside = [v for v in [*self.links, *self.loads] if v and v.startswith("#")]
        inside += [u for s in self.styles for u in re.findall(r"url\(['\"]?(#[^)'\"]*)", s)]
        return sorted({v for v in inside if v[1:] not in self.ids})


def unbalanced(script):
    """Brackets of a script that are not closed or not opened, outside its texts and comments; None where all are."""
    bare = re.sub(
        r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`", "", script, flags=re.S
    )
    stack = []
    for sign in re.findall(r"[()\[\]{}]", bare):
        if sign in "([{":
            stack.append(sign)
        elif not stack or "([{".index(stack.pop()) != ")]}".index(sign):
            return sign
    return stack or None
