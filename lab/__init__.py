"""The miniature site: a Palette endpoint and Edge hosts that are real Linux systems, on this machine."""
