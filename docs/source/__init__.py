"""Where generated pages come from that are made with more than the program itself has."""
