"""Pure: a spec → the text of files. `files.render` makes them all; importing this package alone costs nothing."""
