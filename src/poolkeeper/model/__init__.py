"""Pure values: what is declared, what was seen, what is planned, what was judged. Nothing here does I/O."""
