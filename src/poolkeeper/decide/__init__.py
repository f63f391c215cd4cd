"""Pure decisions: what was declared and what was seen → what it means, and what is to be done."""
