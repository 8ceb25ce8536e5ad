"""The reference agent of a lab Edge host: registers, deploys, repaves and resets as Palette orders.

Runs inside the host, on Debian's Python with its yaml and grpc packages; it imports nothing else.
"""
