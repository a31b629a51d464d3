"""One HTML file that says all about a run and asks the network for nothing.

The charts' library (Vega, Vega-Lite, Vega-Embed) comes out of vl-convert, once for all charts. The page's
content security policy allows no request and no script but the two that it was made with.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import tempfile
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gpufleet import __version__
from gpufleet.base.language import speaking, spoken
from gpufleet.base.say import say, tell
from gpufleet.report.answers import linked
from gpufleet.report.charts import VEGA_LITE
from gpufleet.report.page import Page, page_of
from gpufleet.report.words import language

if TYPE_CHECKING:
    from markupsafe import Markup

    from gpufleet.results.run import Run

HATCH_PATHS: Final = {
    "plain": "",
    "slash": "M-2 2L2 -2M0 8L8 0M6 10L10 6",
    "backslash": "M-2 6L2 10M0 0L8 8M6 -2L10 2",
    "cross": "M0 0L8 8M0 8L8 0",
    "bars": "M2 0V8M6 0V8",
    "grid": "M0 4H8M4 0V8",
    "dots": "M2 2h1.5M6 6h1.5",
}
"""Pattern of each hatch on an 8 x 8 tile."""


def render_html(run: Run, language: str | None = None, other: Run | None = None) -> str:
    """The report of a run as one HTML document; the same run gives the same bytes.

    Args:   run: a whole run, or one whose folder holds all but the report;
            language: en, ko or ja; default the one that is being spoken;
            other: a run to set beside it: what was before.
    Raises: GpufleetError U020 for a language that is not there.
    """
    with speaking(language or spoken()):
        return render(page_of(run, other))


def write_html(
    run: Run, path: Path | str | None = None, language: str | None = None, other: Run | None = None
) -> Path:
    """Write the report of a run.

    Args:    path: where to; default report.html in the run's folder. The file is replaced in one step;
             language: en, ko or ja; default the one that is being spoken;
             other: a run to set beside it: what was before.
    Returns: the path.
    Raises:  OSError if it cannot be written; an earlier report stays. GpufleetError U020 for a language that
             is not there.
    """
    target = Path(path) if path is not None else run.path / "report.html"
    handle, part = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(render_html(run, language, other))
        os.chmod(part, 0o644)
        os.replace(part, target)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
    return target


def render(page: Page) -> str:
    """A page as HTML text."""
    bundle, script = vega_bundle(), _asset("page.js")
    text: str = _template().render(
        page=page,
        language=spoken(),
        version=__version__,
        hatches=HATCH_PATHS,
        css=_trusted(_asset("page.css")),
        js=_trusted(script),
        bundle=_trusted(bundle),
        specs=_trusted(_json({id_: spec for f in page.figures for id_, spec in f.specs.items()})),
        script_hashes=_trusted(" ".join(_hash(text) for text in (bundle, script))),
    )
    return text


@lru_cache(maxsize=1)
def vega_bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script that sets ``window.vegaEmbed``; no network is used.

    Raises: ValueError if the script could close its own element.
    """
    import vl_convert

    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed=vegaEmbed;", VEGA_LITE)
    if "</script" in bundle.lower() or "<!--" in bundle:
        raise ValueError("the chart library cannot stand inside a page")
    return bundle


def _json(value: Any) -> str:
    """JSON that may stand in a script element: no character of it can end the element."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


_QUANTITY: Final = re.compile(
    r"\d{4}-\d\d-\d\d|\d{4}[년年] ?\d+[월月](?: ?\d+[일日])?"
    r"|\d[\d,.]*(?:[만억조万億兆](?: ?GPU\b)?|%"
    r"|(?:일|시간|분|초|日|時間|分|秒)(?: ?\d+(?:시간|분|초|時間|分|秒))?)"
    r"|\d[\d,.]*(?: (?:%|d|h|min|s|GPUs?|GPU·h|jobs?|[kMG]?W)\b|\s%)(?: \d+ (?:h|min|s)\b)?"
)


def whole(text: str) -> Markup:
    """Text, escaped, in which no line breaks inside a date or between a number and its unit.

    >>> print(whole("48 % busy <b>"))
    <span class="whole">48 %</span> busy &lt;b&gt;
    """
    from markupsafe import escape

    return _trusted(_QUANTITY.sub(r'<span class="whole">\g<0></span>', str(escape(text))))


def _hash(script: str) -> str:
    """A script's entry in the content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _asset(name: str) -> str:
    return resources.files("gpufleet.report").joinpath("assets", name).read_text(encoding="utf-8")


def _trusted(text: str) -> Markup:
    """Text of our own, to be taken as it is."""
    from markupsafe import Markup

    return Markup(text)


def _template() -> Any:
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=False)
    environment.filters |= {"language": language, "linked": linked, "whole": whole, "tell": tell}
    environment.globals["say"] = say
    return environment.from_string(_asset("page.html.j2"))
