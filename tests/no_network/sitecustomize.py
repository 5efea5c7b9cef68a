"""Python imports this by itself when it starts: processes that tests start have no network either."""

from no_network import block_network

block_network()
