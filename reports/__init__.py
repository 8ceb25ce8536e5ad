"""From what happened in a run to what people act on: a journal, JUnit, one page, and a certificate."""
