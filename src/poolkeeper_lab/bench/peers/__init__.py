"""What people would pick instead: their stacks, from distribution packages, and how each is broken and measured."""
