"""One model for every report (document.py), rendered once per format and written completely or not at all.

All of it is pure except `writer`, which writes the files.
"""
