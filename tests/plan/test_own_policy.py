# ruff: noqa: E501  (each row of the table has a whole file in it)
"""Own orders and placements in a plan: what is wrong with one is told with the line of the user's file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gpufleet.base.errors import GpufleetError
from gpufleet.plan import Plan
from gpufleet.plan.own_code import OwnCodeError, read_code

Load = Callable[..., Plan]

# What is wrong, the file, the code, the line that is named, and a word of the message or the fix.
CASES = [
    ("a while loop", "def f(job):\n    while job.gpus > 1:\n        pass\n    return 1\n", "P123", 2, "while"),
    ("a loop over something", "def f(job):\n    for x in (1, 2):\n        pass\n    return 1\n", "P123", 2, "(1, 2)"),
    ("a loop of unknown length", "def f(job):\n    for i in range(job.gpus):\n        pass\n    return 1\n",
     "P123", 2, "range(job.gpus)"),
    ("a loop that is too long", "N = 200\ndef f(job):\n    t = 0\n    for i in range(N):\n        for k in range(N):\n"
     "            t += k\n    return t\n", "P123", 4, "40,201"),
    ("a call of itself", "def f(job):\n    return f(job)\n", "P123", 2, "f calls itself"),
    ("a call of each other", "def g(job):\n    return f(job)\ndef f(job):\n    return g(job)\n", "P123", 2, "calls itself"),
    ("long loops in a function that is called", "def g(x):\n    for i in range(200):\n        x += i\n    return x\n"
     "def f(job):\n    t = 0\n    for i in range(100):\n        t += g(i)\n    return t\n", "P123", 7, "20,"),
    ("output", "def f(job):\n    print(job.gpus)\n    return 1\n", "P122", 2, "print"),
    ("an import", "def f(job):\n    import os\n    return 1\n", "P122", 2, "import"),
    ("a file", "def f(job):\n    return open(1)\n", "P122", 2, "open"),
    ("a dunder", "def f(job):\n    return job.gpus.__class__\n", "P122", 2, "__class__"),
    ("an index", "W = (1, 2)\ndef f(job):\n    return W[0]\n", "P122", 3, "[...]"),
    ("a text", "def f(job):\n    return 1 + 'a'\n", "P122", 2, "'a'"),
    ("a bomb", "def f(job):\n    return 10 ** 999999999999999999999\n", "P122", 2, "99999"),
    ("math that has no place here", "import math\ndef f(job):\n    return math.factorial(5)\n", "P122", 3, "factorial"),
    ("math without an import", "def f(job):\n    return math.sqrt(4)\n", "P122", 2, "math.sqrt"),
    ("a decorator", "@cache\ndef f(job):\n    return 1\n", "P122", 1, "decorator"),
    ("a value that is not used", "def f(job):\n    job.gpus\n    return 1\n", "P122", 2, "not used"),
    ("a name that means something else", "def f(job):\n    max = 1\n    return max\n", "P122", 2, "max"),
    ("a changed parameter", "def f(job):\n    job = 1\n    return 1\n", "P122", 2, "job"),
    ("a field that is set", "def f(job):\n    job.gpus = 1\n    return 1\n", "P122", 2, "job.gpus"),
    ("no parameter", "def f():\n    return 1\n", "P124", 1, "0 parameters"),
    ("two parameters", "def f(job, now):\n    return 1\n", "P124", 1, "2 parameters"),
    ("a default", "def f(job=1):\n    return 1\n", "P124", 1, "default"),
    ("a tuple", "def f(job):\n    return job.gpus, 1\n", "P124", 2, "(job.gpus, 1)"),
    ("nothing", "def f(job):\n    return\n", "P124", 2, "nothing"),
    ("None", "def f(job):\n    return None\n", "P124", 2, "None"),
    ("a way without a result", "def f(job):\n    if job.gpus > 1:\n        return 1\n", "P124", 1, "without a result"),
    ("the record as a number", "def f(job):\n    return job + 1\n", "P124", 2, "job.gpus"),
    ("a wrong number of values", "def g(x):\n    return x\ndef f(job):\n    return g(1, 2)\n", "P124", 4, "g wants 1"),
    ("max of one number", "def f(job):\n    return max(job.gpus)\n", "P124", 2, "max"),
    ("an unknown field", "def f(job):\n    return job.gpu\n", "P125", 2, "did you mean `gpus`?"),
    ("an unknown name", "LIMIT = 8\ndef f(job):\n    return LIMT\n", "P125", 3, "did you mean `LIMIT`?"),
    ("a variable without a value", "def f(job):\n    if job.gpus > 1:\n        x = 1\n    return x\n", "P125", 4, "no value"),
    ("an unknown queue", "def f(job):\n    return job.queue == 'reserch'\n", "P125", 2, "did you mean `research`?"),
    ("no Python", "def f(job)\n    return 1\n", "P121", 1, "expected ':'"),
    ("no text", "def f(job):\n    return '\x00'\n", "P121", 0, "null"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "code", "line", "word"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_it_is_told_with_its_line(
    load: Load, small: str, folder: Path, text: str, code: str, line: int, word: str
) -> None:
    (folder / "own.py").write_text(text)
    with pytest.raises(GpufleetError) as error:
        load(small.replace("order: fifo", "order: {python: own.py:f}"))
    found = error.value.findings[0]
    place = f"own.py:{line}" if line else "plan.yaml:15"
    assert (found.code, str(found.at)) == (code, place)
    assert word in f"{found.says} {found.fix}"
    assert found.fix


def test_all_that_is_wrong_is_told_at_once(load: Load, small: str, folder: Path) -> None:
    (folder / "own.py").write_text("def f(job):\n    print(1)\n    return job.gpu\n")
    with pytest.raises(GpufleetError) as error:
        load(small.replace("order: fifo", "order: {python: own.py:f}\n  placement: {python: own.py:g}"))
    assert [f"{each.code} {each.at}" for each in error.value.findings] == [
        "P122 own.py:2",
        "P125 own.py:3",
        "P120 plan.yaml:16",
    ]


NAMES = [
    ("own.py:ff", "P120", "did you mean `f`?"),
    ("own.py", "P120", "write `own.py:f`"),
    ("on.py:f", "P025", "did you mean `own.py`?"),
    ("nobody", "P120", "no installed package registers"),
]


@pytest.mark.parametrize(("word", "code", "says"), NAMES)
def test_a_function_that_is_not_there(
    load: Load, small: str, folder: Path, word: str, code: str, says: str
) -> None:
    (folder / "own.py").write_text("def f(job):\n    return 1\n")
    with pytest.raises(GpufleetError) as error:
        load(small.replace("order: fifo", f"order: {{python: '{word}'}}"))
    (found,) = error.value.findings
    assert (found.code, str(found.at)) == (code, "plan.yaml:15")
    assert says in f"{found.says} {found.fix}"


def test_a_plan_says_what_decides(load: Load, small: str, folder: Path) -> None:
    (folder / "own.py").write_text(
        "# ranks\nDAY = 24 * 3600\n\n\ndef f(job):\n    return job.submit_s / DAY\n"
    )
    policy = load(small.replace("order: fifo", "order: {python: own.py:f}")).policy
    assert policy.order == "own"
    assert policy.own_order is not None
    own = policy.own_order.python
    assert (own.function, own.file, own.line) == ("f", "own.py", 5)
    assert own.source == "DAY = 24 * 3600\ndef f(job):\n    return job.submit_s / DAY\n"
    assert policy.reads("submit_s")
    assert not policy.reads("priority")


def test_scenarios_and_overrides_choose_functions(load: Load, small: str, folder: Path) -> None:
    (folder / "own.py").write_text("def f(job):\n    return 1\ndef g(place):\n    return place.free\n")
    text = f"{small}scenarios:\n  mine: {{set: {{policy.order: {{python: own.py:f}}}}}}\n"
    assert load(text).policy.own_order is None
    assert load(text, scenarios=["mine"]).policy.own_order is not None
    sets = [f"policy.placement={{python: {folder / 'own.py'}:g, take: node}}"]
    placement = load(text, sets=sets).policy.own_placement
    assert placement is not None
    assert (placement.python.function, placement.take) == ("g", "node")


def test_srtf_has_no_own_order_and_settings_of_it_have_no_effect(
    load: Load, small: str, folder: Path
) -> None:
    (folder / "own.py").write_text("def f(job):\n    return 1\ndef e(job):\n    return job.estimate_s\n")
    with pytest.raises(GpufleetError) as error:
        load(small.replace("order: fifo", "order: {python: own.py:f}\n  select: count\n  estimate: none"))
    assert [each.code for each in error.value.findings] == ["P024", "P024"]
    assert load(small.replace("order: fifo", "order: {python: own.py:e}\n  estimate: none")).policy.own_order


def test_a_priority_that_an_own_order_reads_has_an_effect(load: Load, small: str, folder: Path) -> None:
    (folder / "own.py").write_text("def f(job):\n    return -job.priority\ndef g(job):\n    return 1\n")
    text = small.replace("gpus: 32, duration", "priority: 3, gpus: 32, duration")
    for function, codes in (("f", []), ("g", ["P035"])):
        plan = load(text.replace("order: fifo", f"order: {{python: own.py:{function}}}"))
        assert [each.code for each in plan.warnings if each.code == "P035"] == codes


# --- entry points


def install(site: Path, name: str, points: str, module: str) -> None:
    """A package as installers leave it: a module, and what it registers."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[gpufleet.policies]\n{points}\n")
    (site / f"{name}.py").write_text(module)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])
    return tmp_path / "site"


def test_an_entry_point_names_a_function(load: Load, small: str, site: Path) -> None:
    install(
        site,
        "ourranks",
        "small-first = ourranks:small",
        "raise SystemExit\ndef small(job):\n    return job.gpus\n",
    )
    own = load(small.replace("order: fifo", "order: {python: small-first}")).policy.own_order
    assert own is not None
    assert (own.python.function, own.python.file, own.python.line) == ("small", "ourranks", 2)
    assert "ourranks" not in sys.modules


def test_an_entry_point_that_leads_nowhere(load: Load, small: str, site: Path) -> None:
    install(site, "lostranks", "lost = nowhere_at_all:f\ntwice = lostranks:a", "def a(job):\n    return 1\n")
    install(site, "moreranks", "twice = moreranks:a", "def a(job):\n    return 1\n")
    for name, says in (
        ("lost", "there is no such module"),
        ("los", "did you mean `lost`?"),
        ("twice", "several"),
    ):
        with pytest.raises(GpufleetError) as error:
            load(small.replace("order: fifo", f"order: {{python: {name}}}"))
        (found,) = error.value.findings
        assert found.code == "P120"
        assert says in f"{found.says} {found.fix}"


# --- the program


def test_what_is_kept_of_a_file_gives_the_same_program() -> None:
    text = '''"""Ranks."""
import math
import os

N = 3
HALF = N / 2
TAU = 2 * math.pi
UNUSED = os.getcwd()


def age(x: float, job: object) -> float:
    """How old."""
    return (x
            - job.submit_s)


def order(job) -> float:
    """Order."""
    if job.queue in ("a", "b"):
        return math.inf
    total: float = 0
    for k in range(-N, N):
        total += k * HALF * TAU
    return age(total, job) if job.gpus > 8 or not job.limit_s else -1


class Other: ...
'''
    code = read_code(text, "order", "order", ["a", "b"])
    again = read_code(code.source, "order", "order", ["a", "b"])
    assert (again.program, again.source) == (code.program, code.source)
    assert "UNUSED" not in code.source
    assert code.reads == {"submit_s", "queue", "gpus", "limit_s"}
    rows = text.splitlines()
    assert [rows[number - 1] for number in code.source_lines] == code.source.splitlines()


def test_the_program_says_what_the_function_says() -> None:
    text = """\
A = -2
def f(job):
    x = 1
    for k in range(1, 4):
        if k == 2:
            continue
        x *= k
    return x + A ** 2 + job.gpus // 3
"""
    names: dict[str, object] = {"compiled": lambda function: function}
    exec(read_code(text, "f", "order", []).program, names)
    decide = names["decide"]
    assert callable(decide)
    assert decide(7.0, *[0.0] * 7) == 3 + 4 + 2


def test_deep_code_is_refused() -> None:
    with pytest.raises(OwnCodeError):
        read_code(
            "def f(job):\n    return " + "(" * 150 + "1" + ")" * 150 + " + " + "-" * 5000 + "1\n",
            "f",
            "order",
            [],
        )
    with pytest.raises(OwnCodeError):
        read_code("#" * 300_000, "f", "order", [])
