"""One connection tried step by step, or one to each target of a configuration: `alpmon check`."""
