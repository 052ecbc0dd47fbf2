"""Makes what is generated in helm/alpmon: files/, values.schema.json, README.md."""
