"""Detection: every seeded fault against the cases that claim to catch it, and what that makes of the suites.

``python -m detection`` (``./run detection``) starts labs, seeds one fault after the other while they run, and
lets pytest run the relevant cases. It reads nothing but the verdicts: which fault is in force is known to the lab, to
this package, and to nobody who judges.
"""
