"""Suites that the report's tests share: one of every outcome with hostile text, and arbitrary ones."""

from __future__ import annotations

from hypothesis import strategies as st

from poolkeeper.model.verdict import Evidence, Outcome, Suite, Verdict

# What breaks renderers: markup of all formats, fences, table bars, forbidden XML, line ends, direction overrides.
EVIL = (
    "</pre></details><script>alert(1)</script> ]]> <!-- {{ 7*7 }} {% raw %} &amp; &#0;\n"
    "```\n# no heading\n````text\n| a | b |\n--- *bold* _it_ [x](javascript:alert(1)) ![i](http://x.test/i.png)\n"
    "nul \x00 esc \x1b[31m bell \x07 del \x7f nel \x85 cr \r crlf \r\nrlo \u202eabc\u202c lone \ud800 nc \ufffe\n"
    "\ttab 'quote' \"double\" back\\slash $math$ émoji 🐘 – end"
)
DSN = "psql 'host=10.8.0.20 user=app password=hunter2' postgresql://app:hunter2@10.8.0.20:9999/app"

SAMPLE = Suite(
    cluster="pool <b>1</b>",
    started_at="2026-03-02T10:14:31.551000+00:00",
    seconds=12.84,
    verdicts=(
        Verdict(
            "node_status.pg_node1",
            1,
            "pg_node1 answers",
            Outcome.PASS,
            "PostgreSQL 17.12 accepts connections.",
            (Evidence("pg_node1", DSN, " f | 17.12\n", 0.0123),),
        ),
        Verdict(
            "replication.streaming",
            4,
            "Both standbys | stream",
            Outcome.FAIL,
            "pg_node3 is *not* streaming:\n# 48 MB behind <i>the primary</i> | `really`",
            (Evidence("pg_node1 `x`", EVIL, EVIL, 1.5), Evidence("pg_node3", "tail -1 log", "", 0.0)),
        ),
        Verdict("haproxy.stats", 13, "HAProxy's statistics answer", Outcome.UNKNOWN, "No answer within 3 s."),
    ),
    versions={"PostgreSQL": "17.12", "Pgpool-II|": "4.6.1\n<chirikoboshi>"},
    topology=(("pg_node1", "10.8.0.11:5611", "primary"), ("pg_node2", "10.8.0.12:5612", "standby | quorum")),
    changes=("replication.streaming: pass → fail", "haproxy.stats: new, unknown"),
)

# Any text at all, lone surrogates included, and markup more often than chance would have it.
TEXTS = st.one_of(
    st.text(max_size=40),
    st.text(alphabet=st.characters(categories=["Cs", "Cc", "Cf", "Po", "Nd"]), max_size=20),
    st.text(alphabet="<>&\"'`|\\\n\r\t #*_[](){}%-~=:/.x", max_size=40),
)
_EVIDENCE = st.builds(Evidence, TEXTS, TEXTS, TEXTS, st.floats(0, 1e4))


@st.composite
def suites(draw: st.DrawFn) -> Suite:
    """Suites with arbitrary text everywhere and distinct check ids."""
    ids = draw(st.lists(st.text(min_size=1, max_size=12), max_size=4, unique=True))
    outcomes = st.sampled_from(list(Outcome))
    verdicts = tuple(
        Verdict(
            i,
            draw(st.integers(1, 17)),
            draw(TEXTS),
            draw(outcomes),
            draw(TEXTS),
            tuple(draw(st.lists(_EVIDENCE, max_size=2))),
        )
        for i in ids
    )
    versions = draw(st.dictionaries(TEXTS, TEXTS, max_size=2))
    topology = tuple(draw(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), max_size=2)))
    changes = tuple(draw(st.lists(TEXTS, max_size=2)))
    return Suite(draw(TEXTS), draw(TEXTS), draw(st.floats(0, 1e4)), verdicts, versions, topology, changes)
