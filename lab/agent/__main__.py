"""Start the agent: ``python3 -m lab.agent``, the ``ExecStart`` of ``stylus-agent.service``."""

from __future__ import annotations

import logging

from lab.agent.agent import Agent

logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
Agent().run()
