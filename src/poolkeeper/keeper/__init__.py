"""The agent: observe, decide, act, for ever."""
