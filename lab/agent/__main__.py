"""Start the agent: ``python3 -m lab.agent``, the ``ExecStart`` of ``stylus-agent.service``."""

from __future__ import annotations

import logging

from lab.agent import places, upgrade
from lab.agent.agent import Agent
from lab.agent.jobs import Jobs

logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
Agent(Jobs(upgrade.run, places.UPGRADE_LOG, needs=["grpc"])).run()
