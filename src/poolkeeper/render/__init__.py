"""Pure functions from a spec to the text of files. `files.render` renders all; importing the package alone costs nothing."""
