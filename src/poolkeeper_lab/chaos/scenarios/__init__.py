"""The book of scenarios: what is broken, in which order, and the promise that has to hold meanwhile."""
