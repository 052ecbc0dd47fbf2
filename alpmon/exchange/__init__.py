"""The simulated exchange: a server, a market, and the ways it fails."""
