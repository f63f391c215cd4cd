"""Verdicts → Markdown, HTML, JUnit XML and JSON. All of it is pure but `write`, which puts the files down."""
