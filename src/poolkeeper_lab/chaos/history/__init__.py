"""Histories: what clients asked, when, and what the cluster answered; and their text form."""
