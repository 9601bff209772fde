"""Figures as files, and as parts of a page that is light or dark."""

import base64
import io
import re
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure

from bayescal.report.figures import BLUE, GREEN, GREY, ORANGE

# These colours are replaced by the page's colours of that name, so that figures are readable on light and on dark.
_NAMES = {"#ffffff": "paper", "#000000": "ink"}
_NAMES |= {x.lower(): name for x, name in ((BLUE, "blue"), (ORANGE, "orange"), (GREEN, "green"), (GREY, "grey"))}
_A_COLOUR = re.compile(rf"(?:{'|'.join(_NAMES)})(?![0-9a-f])", re.IGNORECASE)
_LARGEST = 200_000  # bytes of an SVG that is put into the page; a larger figure is a PNG there


@dataclass(frozen=True)
class Picture:
    """A figure as files.

    Attributes:
        alt: its content in words, for screen readers.
    """

    name: str
    svg: bytes
    png: bytes
    alt: str

    @property
    def inline(self) -> Markup:
        """An HTML element."""
        alt = Markup.escape(self.alt)
        if len(self.svg) > _LARGEST:
            data = base64.b64encode(self.png).decode()
            return Markup('<img alt="{}" src="data:image/png;base64,{}">').format(self.alt, Markup(data))
        text = self.svg.decode()
        text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.S)
        # Make ids unique to this figure.
        text = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{self.name}-", text)
        text = _A_COLOUR.sub(lambda found: f"var(--{_NAMES[found[0].lower()]})", text)
        size = re.search(r'<svg [^>]*?viewBox="0 0 ([\d.]+) ', text)
        width = float(size[1]) if size else 400.0
        head = f'<svg role="img" aria-label="{alt}" style="--wide:{width:.0f}" '
        return Markup(re.sub(r'<svg ([^>]*?)width="[^"]*" height="[^"]*"', rf"{head}\1", text, count=1))


def draw(name: str, figure: Figure, alt: str) -> Picture:
    """The same figure gives the same files, without dates or random ids."""
    with rc_context({"svg.hashsalt": name}):
        png = _image(figure, "png")
        figure.set_layout_engine("none")  # keep the layout: computing it takes longest
        return Picture(name, _image(figure, "svg"), png, alt)


def _image(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    figure.savefig(buffer, format=kind, dpi=150, metadata=metadata)
    return buffer.getvalue()
