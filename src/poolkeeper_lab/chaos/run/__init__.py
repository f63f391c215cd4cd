"""A chaos run: its schedule, its clients, the nemesis, and the evidence that it keeps."""
