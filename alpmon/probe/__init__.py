"""The only code that touches the network as a client."""
